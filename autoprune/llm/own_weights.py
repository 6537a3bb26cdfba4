"""The GGUF file that the local server serves: that of the settings, the default, or for `--llm self` the target's.

With `--llm self` the server always holds the *dense* model; the target's copy in this process is pruned and measured.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.errors import UsageError
from autoprune.models.gguf_files import CHAT, KNOWN, KnownFile, sha256_of
from autoprune.models.gguf_header import check_gguf

SAME = "the target is this file, dequantised"
SAME_SIZES = "of the same sizes as the target; its weights were not compared"
NOT_COMPARED = "named as the target's weights; not compared"


@dataclass(frozen=True)
class OwnWeights:
    """The file to serve, and why its weights are taken for the target's."""

    source: KnownFile | Path
    ground: str

    @property
    def name(self) -> str:
        return self.source.name

    def find(self) -> Path:
        """The file, downloaded if necessary. Raises DownloadError."""
        return self.source.find() if isinstance(self.source, KnownFile) else self.source

    def record(self) -> dict[str, str]:
        return {"gguf": self.name, "sha256": sha256_of(self.find()), "ground": self.ground}


def find_model(model: str | None) -> Path:
    """The file `model`, or the default chat model, which is downloaded into the cache.

    Raises UsageError when `model` is not a GGUF file, DownloadError when the default model cannot be downloaded.
    """
    return CHAT.find() if model is None else _checked(Path(model), f"llm.model = {model!r}")


def own_weights(target: str, model: str | None) -> OwnWeights:
    """The file that serves the search's target. `model`: the setting llm.model.

    A built-in target or a GGUF file serves itself; a directory is served by its single GGUF file, or by `model`. Raises
    UsageError when there is no such file, when it does not have the target's size, or when it has no chat template.
    """
    folder = Path(target).expanduser()
    if target in KNOWN or folder.suffix == ".gguf":
        if model is not None:
            raise UsageError(f"llm.provider = self serves the target {target} itself; llm.model has no place beside it")
        if target in KNOWN:
            return OwnWeights(KNOWN[target], SAME)
        file = _checked(folder, f"the model {target}")
        _check_chat(file, _metadata(file))
        return OwnWeights(file, SAME)
    if model is not None:
        file = _checked(Path(model), f"llm.model = {model!r}")
    else:
        files = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
        if len(files) != 1:
            raise UsageError(f"llm.provider = self finds no weights to serve: {_missing(target, folder, files)}")
        file = _checked(files[0], f"{files[0]}")
    metadata = _metadata(file)
    _check_chat(file, metadata)
    return OwnWeights(file, _check_sizes(file, metadata, folder))


def _checked(path: Path, label: str) -> Path:
    """The resolved path of a GGUF file. Raises UsageError, with `label` for the path."""
    path = path.expanduser()
    check_gguf(path, label)
    return path.resolve()


def _missing(target: str, folder: Path, files: list[Path]) -> str:
    reason = f"{target} holds {len(files) or 'no'} GGUF files" if folder.is_dir() else f"{target} is a hub id"
    return (
        f"{reason}; put one GGUF file of the same weights into the model's directory, name it by llm.model=FILE.gguf, "
        "or serve the model yourself and use --llm openai llm.base_url=URL"
    )


def _metadata(file: Path) -> dict[str, Any]:
    """The chat template, depth and width of a GGUF file, by transformers' names."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(file).fields
        architecture = fields["general.architecture"].contents()
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as a GGUF file: {str(error).splitlines()[0][:200]}") from None
    keys = {
        "chat": "tokenizer.chat_template",
        "num_hidden_layers": f"{architecture}.block_count",
        "hidden_size": f"{architecture}.embedding_length",
    }
    return {name: fields[key].contents() for name, key in keys.items() if key in fields}


def _check_chat(file: Path, metadata: dict[str, Any]) -> None:
    if not metadata.get("chat"):
        raise UsageError(f"{file} has no chat template: only an instruct model can be its own agents (--llm self)")


def _check_sizes(file: Path, metadata: dict[str, Any], folder: Path) -> str:
    """Why the file is taken for the target's weights: its depth and width, if the target's are known."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return NOT_COMPARED  # a hub id; a directory without a model is refused when it is loaded
    for name in ("num_hidden_layers", "hidden_size"):
        if name in metadata and config.get(name, metadata[name]) != metadata[name]:
            raise UsageError(
                f"{file} holds other weights than {folder}: {name} {metadata[name]} there, {config[name]} here"
            )
    return SAME_SIZES
