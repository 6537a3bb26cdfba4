"""Opens the files of a run directory, which may come from someone else: only regular files, without following links.

The run directory itself is named by the user and may be a link. A link inside it could make a report include, or a
command overwrite, any file of the user; a pipe would block forever.
"""

import fcntl
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
"""Suffixes of an SQLite database and the files beside it."""
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
    """A descriptor of a regular file; a new file gets the mode that the umask leaves.

    `run`: the run directory, below which no directory may be a link either; default: the file's own directory. Raises
    FileNotFoundError for a missing file, UsageError for anything but a regular file, and for writing to a file with
    several hard links.
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


def open_text(path: Path, mode: str = "r", run: Path | None = None, **options: Any) -> IO[Any]:
    """The same as a file object; `mode`: r, rb, r+b, or a (read and append, created if missing)."""
    flags = {"r": os.O_RDONLY, "r+": os.O_RDWR, "a": os.O_RDWR | os.O_APPEND | os.O_CREAT}[mode.replace("b", "")]
    if "b" not in mode:
        options = {"encoding": "utf-8", **options}
    return os.fdopen(open_file(path, flags, run), mode, **options)


def read_bytes(path: Path, run: Path | None = None) -> bytes:
    with open_text(path, "rb", run) as file:
        return bytes(file.read())


def cut_half_line(path: Path) -> None:
    """Remove an incomplete last line, which a crash may leave, so that new lines are appended after a line end."""
    with open_text(path, "r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def write_atomically(path: Path, text: str, run: Path | None = None) -> None:
    """Write to a temporary file, flush to disk, and rename it. An existing file must be a regular one."""
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


def is_locked(path: Path, wanted: int) -> bool:
    """Whether another holder's flock excludes the lock `wanted` (LOCK_SH or LOCK_EX). A missing file has none."""
    try:  # on NFS, an exclusive lock needs a file that is open for writing
        handle = open_file(path, os.O_RDWR if wanted == fcntl.LOCK_EX else os.O_RDONLY)
    except (OSError, UsageError):
        return False
    with os.fdopen(handle, "rb"):
        try:
            fcntl.flock(handle, wanted | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def checked_database(path: Path) -> Path:
    """The path of an SQLite database after checks of it and the files beside it; created empty if missing.

    SQLite itself follows links, and creates files with a mode that ignores the umask.

    An existing file is not opened here: to close it would release all POSIX locks that this process has on it. Another
    process would then take itself for the only user of a database that is open here, and remove its write-ahead log.
    """
    for suffix in SIDE_FILES:
        _refuse(path, _lstat(str(path) + suffix), writing=True, suffix=suffix)
    if not os.path.lexists(path):
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    _refuse_programs(path)
    return path


def refuse_links(folder: Path) -> None:
    """Raises UsageError for a folder that is a link, and for anything below it but folders and regular files with one
    name: for libraries that follow links."""
    for place, folders, files in os.walk(folder):
        for path in (Path(place), *(Path(place) / name for name in (*folders, *files))):
            status = _lstat(str(path))
            if status is not None and not stat.S_ISDIR(status.st_mode):
                _refuse(path, status, writing=True)


def unwritable(error: BaseException | None) -> bool:
    """Whether an SQLite error means that the disk is full, read-only or failing."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))


def _refuse_programs(path: Path) -> None:
    """Raises UsageError for views and triggers, which run when tables are used, and may not end or may change data."""
    query = "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')"
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:  # reported when it is opened
        if row := connection.execute(query).fetchone():
            kind, name = row
            raise UsageError(f"{path} has a {kind}, {name!r:.60}, which this program never makes: do not use this run")


@contextmanager
def _folder(path: Path, run: Path | None) -> Iterator[int]:
    """A descriptor of a file's directory, opened without following links below the run directory."""
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


def _refuse(path: Path, status: os.stat_result | None, writing: bool, suffix: str = "") -> None:
    """Raises UsageError for anything but a regular file, and for writing to one with several hard links."""
    if status is None:
        return
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None and writing and status.st_nlink > 1:
        kind = "a hard link: the file has another name too"
    if kind is not None:
        raise UsageError(f"{path}{suffix} is {kind}; the files of a run must be regular files, so it is left alone")
