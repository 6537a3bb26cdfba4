"""The GGUF file that the local chat server serves: the user's own, or the default one."""

from pathlib import Path

from autoprune.models.gguf_files import CHAT
from autoprune.models.gguf_header import check_gguf


def find_model(model: str | None) -> Path:
    """`model` if it is given, else the default model, downloaded once into the cache.

    Raises UsageError when `model` is no GGUF file, DownloadError when the default model cannot be had.
    """
    return CHAT.find() if model is None else checked(Path(model), f"llm.model = {model!r}")


def checked(path: Path, named: str) -> Path:
    """The path of a GGUF file, resolved. Raises UsageError, in which `named` says what the path stands for."""
    path = path.expanduser()
    check_gguf(path, named)
    return path.resolve()
