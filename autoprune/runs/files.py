"""Opening the files of a run directory, which may come from someone else: regular files only, no link is followed.

The run directory itself is named by the user and may be a link. What lies in it may not: a link would let its maker
choose which file of the user's is read into a report or written over, and a pipe would block forever.
"""

import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from autoprune.errors import UsageError

SIDE_FILES = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to a database's name for the files beside it."""
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_file(path: Path, flags: int = os.O_RDONLY, run: Path | None = None) -> int:
    """A descriptor of a regular file; one that is made gets the mode that the umask leaves.

    `run`: the run directory, below which no directory may be a link either; default: the file's own directory. Raises
    FileNotFoundError for a file that is not there, UsageError for anything but a regular file, and for a file that
    would be written though it has a second name (a hard link).
    """
    with _folder(path, run) as folder:
        try:
            handle = os.open(path.name, flags | _SAFELY, 0o666, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            _refuse(path, _lstat(path.name, folder), writing=False)
            raise UsageError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        _refuse(path, os.fstat(handle), writing=flags & (os.O_WRONLY | os.O_RDWR) != 0)
    except UsageError:
        os.close(handle)
        raise
    return handle


def open_text(path: Path, mode: str = "r", run: Path | None = None, **how: Any) -> IO[Any]:
    """The same as a file object; `mode`: r, rb, r+b, or a (read and appended to, made if it is not there)."""
    flags = {"r": os.O_RDONLY, "r+": os.O_RDWR, "a": os.O_RDWR | os.O_APPEND | os.O_CREAT}[mode.replace("b", "")]
    if "b" not in mode:
        how = {"encoding": "utf-8", **how}
    return os.fdopen(open_file(path, flags, run), mode, **how)


def read_bytes(path: Path, run: Path | None = None) -> bytes:
    """What a file holds."""
    with open_text(path, "rb", run) as file:
        content: bytes = file.read()
    return content


def cut_half_line(path: Path) -> None:
    """Drop what a crash left of a file's last line, so that what is appended starts on a line of its own."""
    with open_text(path, "r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def write_atomically(path: Path, text: str, run: Path | None = None) -> None:
    """Write beside the file, flush to disk, then rename over it. What is there must be a regular file, if anything."""
    with _folder(path, run) as folder:
        _refuse(path, _lstat(path.name, folder), writing=False)
        staged = f".{path.name}.{secrets.token_hex(4)}"
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666, dir_fd=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(staged, dir_fd=folder)
            raise


def checked_database(path: Path) -> Path:
    """The path of an SQLite database after a look at it and the files beside it; made empty where there is none.

    SQLite follows links, and gives new files a mode of its own whatever the umask says.
    """
    for suffix in SIDE_FILES[1:]:
        _refuse(path, _lstat(str(path) + suffix), writing=True, suffix=suffix)
    try:
        os.close(open_file(path))
    except FileNotFoundError:
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    _refuse(path, _lstat(str(path)), writing=True)
    _refuse_programs(path)
    return path


def unwritable(error: BaseException | None) -> bool:
    """Whether a disk is the reason that SQLite gives: full, read-only or failing."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))


def _refuse_programs(path: Path) -> None:
    """Views and triggers are run by what reads and writes tables: one may never end, or change what was written."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:  # who opens it says what it is
        found = connection.execute("SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')").fetchone()
        if found is not None:
            raise UsageError(
                f"{path} has a {found[0]}, {found[1]!r:.60}, which this program never makes: do not use this run"
            )


@contextmanager
def _folder(path: Path, run: Path | None) -> Iterator[int]:
    """The directory of a file, opened without following a link below the run directory."""
    run = run or path.parent
    handle = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.parent.relative_to(run).parts:
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _SAFELY, dir_fd=handle)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise UsageError(f"{path.parent} is not a directory of the run ({error.strerror})") from None
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _lstat(name: str, folder: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _refuse(path: Path, found: os.stat_result | None, writing: bool, suffix: str = "") -> None:
    """Raises UsageError for what is not a regular file, or is written though it has a second name."""
    if found is None:
        return
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None and writing and found.st_nlink > 1:
        kind = "a hard link: the file has another name too"
    if kind is not None:
        raise UsageError(f"{path}{suffix} is {kind}; the files of a run must be regular files, so it is left alone")
