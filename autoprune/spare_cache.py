"""A temporary directory that replaces a cache that cannot be written: read-only, full, without a home, or no directory.

It is shared with child processes and removed at the end of this process. One warning is logged.
"""

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

from autoprune.downloads import cache_dir

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
