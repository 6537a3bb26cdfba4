"""A place for what must be written when the user's cache cannot be: read-only, full, in nobody's home, or no directory.

The work goes on with a temporary directory, which the processes that this one starts share, and which is removed at its
end. One line says so.
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
"""The variable that tells the processes started by this one."""


def spare_cache() -> Path | None:
    """The temporary directory; None while the user's cache can be written, or nothing was."""
    place = os.environ.get(SPARE)
    return Path(place) if place and Path(place).is_dir() else None


def writable_cache() -> Path:
    """The user's cache, or the temporary directory where that cannot be written."""
    if spare := spare_cache():
        return spare
    place = cache_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:  # root may write where its mode forbids it: try
            file.write(b"x")
    except OSError as error:
        return use_spare(error.strerror or str(error))
    return place


def use_spare(reason: str) -> Path:
    """Make the temporary directory and say why."""
    spare = Path(tempfile.mkdtemp(prefix="autoprune-cache-"))
    atexit.register(_remove, spare, os.getpid())
    os.environ[SPARE] = str(spare)
    logger.warning(
        f"the cache {cache_dir()} cannot be written ({reason}): statistics go to {spare} until the end, measurements "
        "are not kept; set AUTOPRUNE_CACHE to another directory"
    )
    return spare


def _remove(spare: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not of a process that was forked
        shutil.rmtree(spare, ignore_errors=True)
