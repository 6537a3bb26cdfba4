"""Writing files and directories: with the modes that the user's umask gives, and never partly."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS = Path("/proc/self/status")


def umask() -> int:
    """The umask of this process. Outside Linux it can only be read by setting it for a moment."""
    try:
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass  # not Linux
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def give_usual_modes(path: Path) -> None:
    """Set the modes of a path and everything below it by the umask.

    safetensors and `tempfile` create files that only their owner can read. Links are skipped.
    """
    mask = umask()
    for entry in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if entry.is_symlink() or (entry.is_file() and entry.stat().st_nlink > 1):
            continue
        entry.chmod((0o777 if entry.is_dir() else 0o666) & ~mask)


@contextmanager
def staging_beside(path: Path) -> Iterator[Path]:
    """A temporary directory on the same disk as `path`, from which `path` can be created by renaming."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=path.parent))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
