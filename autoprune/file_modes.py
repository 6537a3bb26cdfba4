"""The modes of what is written: those that the user's umask gives, as any other program's."""

import os
from pathlib import Path

STATUS = Path("/proc/self/status")


def umask() -> int:
    """This process' umask. Linux says it; elsewhere it can only be set, for a moment, to be read."""
    try:
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass  # another system
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def give_usual_modes(path: Path) -> None:
    """Files and directories from here down get the modes that they would have had without a library in between.

    safetensors and `tempfile` make theirs for their owner only. What is linked from elsewhere is left as it is.
    """
    mask = umask()
    for entry in (path, *path.rglob("*")) if path.is_dir() else (path,):
        if entry.is_symlink() or (entry.is_file() and entry.stat().st_nlink > 1):
            continue
        entry.chmod((0o777 if entry.is_dir() else 0o666) & ~mask)
