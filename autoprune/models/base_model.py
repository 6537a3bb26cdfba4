"""The id on the Hugging Face hub of the model that another one is made from, for its model card."""

import re
from pathlib import Path

from autoprune.models.gguf_files import KNOWN, sha256_of
from autoprune.models.gguf_origin import source_repository

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB = "https://huggingface.co/"
_CACHED = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/(?:snapshots|blobs)/")


def hub_id(model: str) -> str | None:
    """The id of a built-in model or a copy of its file, of a name on the hub, of a directory in the hub's cache, or of
    the source in a GGUF file's metadata; None for any other model, whose origin is not known."""
    if model in KNOWN:
        return KNOWN[model].model
    path = Path(model).expanduser()
    if not path.exists():
        return model if HUB_ID.fullmatch(model) else None
    if cached := _CACHED.search(f"{path.resolve().as_posix()}/"):
        return "/".join(cached.groups())
    source = (source_repository(model) or "").removeprefix(HUB)
    return source if HUB_ID.fullmatch(source) else _copied(path)


def origin(model: str) -> str:
    """What a model card calls the model: its id on the hub, or else its name without the folders of this machine."""
    return hub_id(model) or Path(model).name


def _copied(path: Path) -> str | None:
    """The id of the built-in model of whose file this is a copy."""
    if not path.is_file():
        return None
    alike = [known for known in KNOWN.values() if known.size == path.stat().st_size]
    return next((known.model for known in alike if known.sha256 == sha256_of(path)), None)
