"""What a node of a cluster may lack, and where it is kept there: the target, and statistics. By content, in the cache.

A node that has the same files already, as every process on the coordinator's machine has, is sent nothing.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

from autoprune.downloads import cache_dir, staging_for
from autoprune.evaluation.statistics_cache import PLACE
from autoprune.spare_cache import spare_cache


def target_folder(fingerprint: str) -> Path:
    """Where a target goes that was sent to this machine; `fingerprint`: that of its weights."""
    return cache_dir() / "sent" / f"target-{fingerprint}"


def statistics_root(bundle: str, digest: str) -> Path:
    """Where this machine has, or is to get, a directory `bundle` of statistics with this digest.

    Its own cache, if what is there was collected with the same outcome to the last bit; else a place for what was sent.
    """
    for place in (cache_dir(), spare_cache()):
        if place is not None and digest_of(place / PLACE / bundle) == digest:
            return place / PLACE
    return cache_dir() / "sent" / f"statistics-{digest}"


def digest_of(bundle: Path) -> str:
    """A short hash of a bundle's dense statistics, weights excluded; empty where there is no such bundle."""
    file = bundle / "statistics.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def keep(into: Path, names: Sequence[str], contents: Sequence[NDArray]) -> None:
    """Write a directory of files that were sent, whole or not at all; nothing where it is there already.

    `contents`: uint8 [bytes], one for each name. Raises DownloadError when the disk is full.
    """
    with staging_for(into, sum(content.nbytes for content in contents)) as staging:
        if into.exists():
            return
        for name, content in zip(names, contents, strict=True):
            content.tofile(staging / name)
        os.rename(staging, into)
