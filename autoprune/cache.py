"""What the user's cache holds, how large it is, and how to be rid of what was not used for long."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autoprune.downloads import cache_dir
from autoprune.errors import AutoPruneError

DAY = 86_400
KINDS = {
    "statistics": "of calibration; collected again when they are needed",
    "measurements": "of all runs; made again when they are needed",
    "models": "converted targets; made again from their downloads",
    "downloads": "packed targets; downloaded again",
    "llm": "chat models; downloaded again",
    "sent": "targets and statistics from another machine; sent again",
    "left": "by processes that were killed; of no use",
}
"""Kinds of entries: what they are, and what happens without them."""
_UNFINISHED = (".staging", ".partial")


@dataclass(frozen=True)
class Entry:
    """One file or directory of the cache. `used`: when it was last written or read, in seconds since the epoch.

    The file system says when a file was read: most to the day, those mounted `noatime` never.
    """

    kind: str
    path: Path
    used: float


def entries() -> list[Entry]:
    """All that the cache holds, by kind. Locks are left out: they are empty, and a process may wait for one."""
    return [Entry(kind, path, _used(path)) for kind, path in sorted(_found(cache_dir()))]


def size(held: Iterable[Entry]) -> int:
    """Bytes on disk. A file counts once, though bundles of statistics share the weights' files by hard links."""
    files = (status for entry in held for status in _files(entry.path))
    return sum({(status.st_dev, status.st_ino): 512 * status.st_blocks for status in files}.values())


def clear(kinds: Iterable[str], days: float) -> tuple[list[Entry], int]:
    """Remove what of these kinds nobody wrote or read for so many days; returns it, and the bytes that this freed.

    Raises AutoPruneError for what may not be removed; what another process removes meanwhile is no error.
    """
    wanted, since, everything = set(kinds), time.time() - DAY * days, entries()
    unused = [entry for entry in everything if entry.kind in wanted and entry.used <= since]
    before = size(everything)
    for entry in unused:
        try:
            with suppress(FileNotFoundError):
                shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
        except OSError as error:
            raise AutoPruneError(f"cannot remove {error.filename or entry.path}: {error.strerror}") from None
    return unused, before - size(everything)


def _found(root: Path) -> Iterator[tuple[str, Path]]:
    for place in root.iterdir() if root.is_dir() else ():
        if place.name.startswith("offload-"):
            yield "left", place
        elif place.name.startswith("measurements.sqlite"):  # one that was damaged has a longer name
            yield "measurements", place
        elif place.name in KINDS and place.is_dir():
            for inside in place.iterdir():
                if not inside.name.endswith(".lock"):
                    yield "left" if any(word in inside.name for word in _UNFINISHED) else place.name, inside


def _used(path: Path) -> float:
    times = [max(status.st_mtime, status.st_atime) for status in _files(path)]
    with suppress(FileNotFoundError):
        times.append(path.stat().st_mtime)  # a directory that a process has just made holds no file yet
    return max(times, default=0.0)


def _files(path: Path) -> Iterator[os.stat_result]:
    """Of a file, or of those below a directory; of what is there."""
    for file in path.rglob("*") if path.is_dir() else (path,):
        with suppress(FileNotFoundError):
            if file.is_file():
                yield file.stat()
