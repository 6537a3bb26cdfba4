"""Where a cluster's node stores the target and statistics that it was sent, in its cache by content.

A node that already has the same files, such as the coordinator's machine, is sent nothing.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

from autoprune.cache import spare_cache
from autoprune.downloads import cache_dir, staging_for
from autoprune.evaluation.statistics_cache import PLACE


def target_folder(fingerprint: str) -> Path:
    """The directory of a target that was sent to this machine; `fingerprint`: that of its weights."""
    return cache_dir() / "sent" / f"target-{fingerprint}"


def statistics_root(bundle: str, digest: str) -> Path:
    """The parent of the directory `bundle` of statistics with this digest.

    This machine's own cache, if its statistics are bitwise the same; else the directory for those that are sent.
    """
    for cache in (cache_dir(), spare_cache()):
        if cache is not None and digest_of(cache / PLACE / bundle) == digest:
            return cache / PLACE
    return cache_dir() / "sent" / f"statistics-{digest}"


def digest_of(bundle: Path) -> str:
    """A short hash of a bundle's dense statistics, weights excluded; empty if there is no such bundle."""
    file = bundle / "statistics.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def keep(into: Path, names: Sequence[str], contents: Sequence[NDArray]) -> None:
    """Write a directory of files atomically, unless it exists.

    `contents`: uint8 [bytes], one for each name. Raises DownloadError when the disk is full.
    """
    with staging_for(into, sum(content.nbytes for content in contents)) as staging:
        if into.exists():
            return
        for name, content in zip(names, contents, strict=True):
            content.tofile(staging / name)
        os.rename(staging, into)
