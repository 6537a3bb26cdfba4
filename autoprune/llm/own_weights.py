"""`--llm self`: the agents talk to the target. Where the GGUF file is that serves the target's own weights.

The server holds the *dense* model throughout: what is pruned and measured is the target's copy in this process.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.errors import UsageError
from autoprune.llm.model_file import checked
from autoprune.models.gguf_files import KNOWN, KnownFile, sha256_of

SAME = "the target is this file, dequantised"
SAME_SIZES = "of the same sizes as the target; its weights were not compared"
NOT_COMPARED = "named as the target's weights; not compared"


@dataclass(frozen=True)
class OwnWeights:
    """The file to serve, and the ground for saying that its weights are the target's."""

    source: KnownFile | Path
    ground: str

    @property
    def name(self) -> str:
        return self.source.name

    def find(self) -> Path:
        """The file, downloaded if it has to be. Raises DownloadError."""
        return self.source.find() if isinstance(self.source, KnownFile) else self.source

    def record(self) -> dict[str, str]:
        """What a run notes about it."""
        return {"gguf": self.name, "sha256": sha256_of(self.find()), "ground": self.ground}


def own_weights(target: str, model: str | None) -> OwnWeights:
    """What serves `target`, the search's `--model`: its own GGUF file, or `model`, the setting llm.model.

    A built-in target and a GGUF file serve themselves; for a directory it is the one GGUF file in it, or `model`.
    Raises UsageError when there is no such file, when it does not fit the target in size, or when it cannot chat.
    """
    folder = Path(target).expanduser()
    if target in KNOWN or folder.suffix == ".gguf":
        if model is not None:
            raise UsageError(f"llm.provider = self serves the target {target} itself; llm.model has no place beside it")
        if target in KNOWN:
            return OwnWeights(KNOWN[target], SAME)
        file = checked(folder, f"the model {target}")
        _check_chat(file, _metadata(file))
        return OwnWeights(file, SAME)
    if model is not None:
        file = checked(Path(model), f"llm.model = {model!r}")
    else:
        beside = sorted(folder.glob("*.gguf")) if folder.is_dir() else []
        if len(beside) != 1:
            raise UsageError(f"llm.provider = self finds no weights to serve: {_missing(target, folder, beside)}")
        file = checked(beside[0], f"{beside[0]}")
    metadata = _metadata(file)
    _check_chat(file, metadata)
    return OwnWeights(file, _check_sizes(file, metadata, folder))


def _missing(target: str, folder: Path, beside: list[Path]) -> str:
    what = f"{target} holds {len(beside) or 'no'} GGUF files" if folder.is_dir() else f"{target} is a hub id"
    return (
        f"{what}; put one GGUF file of the same weights into the model's directory, name it by llm.model=FILE.gguf, "
        "or serve the model yourself and use --llm openai llm.base_url=URL"
    )


def _metadata(file: Path) -> dict[str, Any]:
    """The fields of a GGUF file that matter here, by their names without the architecture's."""
    from gguf import GGUFReader

    try:
        fields = GGUFReader(file).fields
        architecture = fields["general.architecture"].contents()
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as a GGUF file: {str(error).splitlines()[0][:200]}") from None
    wanted = {
        "chat": "tokenizer.chat_template",
        "num_hidden_layers": f"{architecture}.block_count",
        "hidden_size": f"{architecture}.embedding_length",
    }
    return {name: fields[key].contents() for name, key in wanted.items() if key in fields}


def _check_chat(file: Path, metadata: dict[str, Any]) -> None:
    if not metadata.get("chat"):
        raise UsageError(f"{file} has no chat template: only an instruct model can be its own agents (--llm self)")


def _check_sizes(file: Path, metadata: dict[str, Any], folder: Path) -> str:
    """The ground for taking the file as the target's weights: its depth and width, where the target's are known."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return NOT_COMPARED  # a hub id; a directory that is no model is refused when it is loaded
    for name in ("num_hidden_layers", "hidden_size"):
        if name in metadata and config.get(name, metadata[name]) != metadata[name]:
            raise UsageError(
                f"{file} holds other weights than {folder}: {name} {metadata[name]} there, {config[name]} here"
            )
    return SAME_SIZES
