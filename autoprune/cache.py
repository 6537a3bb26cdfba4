"""The user's cache: listing it, removing entries that were not used for long, and replacing one that cannot be written.

The replacement is a temporary directory, shared with child processes and removed at the end of this process.
"""

import atexit
import logging
import os
import shutil
import tempfile
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
"""Kinds of entries with a description, as in `autoprune cache`."""
_UNFINISHED = (".staging", ".partial")


@dataclass(frozen=True)
class Entry:
    """One file or directory of the cache. `used`: time of the last write or read, in seconds since the epoch.

    Most file systems record reads with a resolution of a day, those mounted `noatime` not at all.
    """

    kind: str
    path: Path
    used: float


def entries() -> list[Entry]:
    """All entries by kind, without lock files, which are empty and may be in use."""
    return [Entry(kind, path, _used(path)) for kind, path in sorted(_found(cache_dir()))]


def size(held: Iterable[Entry]) -> int:
    """Bytes on disk. Files that bundles share by hard links count once."""
    files = (status for entry in held for status in _files(entry.path))
    return sum({(status.st_dev, status.st_ino): 512 * status.st_blocks for status in files}.values())


def clear(kinds: Iterable[str], days: float) -> tuple[list[Entry], int]:
    """Remove entries of these kinds that were not used for `days`; returns them and the freed bytes.

    Raises AutoPruneError for entries that cannot be removed, except those that another process has removed.
    """
    kinds, since, everything = set(kinds), time.time() - DAY * days, entries()
    unused = [entry for entry in everything if entry.kind in kinds and entry.used <= since]
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
        elif place.name.startswith("measurements.sqlite"):  # damaged ones have a suffix
            yield "measurements", place
        elif place.name in KINDS and place.is_dir():
            for inside in place.iterdir():
                if not inside.name.endswith(".lock"):
                    yield "left" if any(word in inside.name for word in _UNFINISHED) else place.name, inside


def _used(path: Path) -> float:
    times = [max(status.st_mtime, status.st_atime) for status in _files(path)]
    with suppress(FileNotFoundError):
        times.append(path.stat().st_mtime)  # of a new directory without files
    return max(times, default=0.0)


def _files(path: Path) -> Iterator[os.stat_result]:
    """The status of a file, or of all files below a directory."""
    for file in path.rglob("*") if path.is_dir() else (path,):
        with suppress(FileNotFoundError):
            if file.is_file():
                yield file.stat()


logger = logging.getLogger(__name__)
SPARE = "AUTOPRUNE_SPARE_CACHE"
"""The environment variable that passes the directory to child processes."""


def spare_cache() -> Path | None:
    """The temporary directory, if it is in use."""
    place = os.environ.get(SPARE)
    return Path(place) if place and Path(place).is_dir() else None


def writable_cache() -> Path:
    """The user's cache, or the temporary directory if the cache cannot be written."""
    if spare := spare_cache():
        return spare
    place = cache_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:  # by trial, since root ignores modes
            file.write(b"x")
    except OSError as error:
        return use_spare(error.strerror or str(error))
    return place


def use_spare(reason: str) -> Path:
    """Create the temporary directory and log the reason."""
    spare = Path(tempfile.mkdtemp(prefix="autoprune-cache-"))
    atexit.register(_remove, spare, os.getpid())
    os.environ[SPARE] = str(spare)
    logger.warning(
        f"the cache {cache_dir()} cannot be written ({reason}): statistics go to {spare} until the end, measurements "
        "are not kept; set AUTOPRUNE_CACHE to another directory"
    )
    return spare


def _remove(spare: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in forked processes
        shutil.rmtree(spare, ignore_errors=True)
