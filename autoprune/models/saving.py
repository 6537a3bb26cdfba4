"""Saving a pruned model as a Hugging Face directory with a model card.

The saved weights are the measured weights: `settle` rounds them to the dtype of the files before they are measured, and
after writing, the zeros in the files are compared with those in memory.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from autoprune.errors import AutoPruneError, UsageError
from autoprune.file_modes import give_usual_modes, staging_beside
from autoprune.models.base_model import hub_id, origin
from autoprune.models.block_storage import cast
from autoprune.models.gguf_architectures import ARCHITECTURES
from autoprune.models.gguf_origin import keep_origin
from autoprune.models.target import Target

RECIPE_FILE = "autoprune.json"
CARD_FILE = "README.md"
Card = Callable[[str, Mapping[str, Any]], str]
"""From the dense model's name and the facts to a model card."""


@dataclass(frozen=True)
class Exported:
    """A saved model: its directory, size in bytes, and zeros among the prunable weights. `exportable`: whether it is of
    an architecture that is written as GGUF."""

    path: Path
    bytes: int
    zeros: int
    weights: int
    exportable: bool = False

    @property
    def sparsity(self) -> float:
        """Share of the prunable weights that are zero."""
        return self.zeros / self.weights


def settle(target: Target, dtype: torch.dtype) -> None:
    """Round every weight of the model to `dtype`, in place, and replace -0.0 by 0.0, which the packed file stores for
    free."""
    with torch.no_grad():
        for parameter in target.model.parameters():
            if parameter.is_floating_point():
                parameter.copy_(parameter.to(dtype)).add_(0.0)


def count_zeros(target: Target) -> int:
    """Number of zeros among the prunable weights of the model in its present state."""
    return sum(target.zeros(layer.name) for layer in target.layers)


def save_pruned(
    target: Target, into: Path, recipe: Mapping[str, Any], dtype: torch.dtype, card: Card | None = None
) -> Exported:
    """Save the model in its present state: config, tokenizer, safetensors in `dtype`, recipe and model card.

    `recipe` holds the facts for the card, as JSON data; `card` writes it, by default `model_card`. The directory is
    complete or absent. The model itself is cast to `dtype`. Raises UsageError when `into` exists and is not an empty
    directory, AutoPruneError when it cannot be written or when the files and the model differ in their number of zeros.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} exists already; name another directory, or empty it first")
    settle(target, dtype)
    model: Any = target.model
    cast(model, dtype)
    zeros = count_zeros(target)
    facts = {**recipe, "zeros": zeros, "weights": target.weights, "sparsity": zeros / target.weights}
    try:
        with staging_beside(into) as staging:
            model.save_pretrained(staging)
            target.tokenizer.save_pretrained(staging)
            keep_origin(target.name, staging)
            (staging / RECIPE_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            (staging / CARD_FILE).write_text((card or model_card)(target.name, facts), encoding="utf-8")
            _check_files(target, staging)
            give_usual_modes(staging)
            if into.exists():
                into.rmdir()
            os.rename(staging, into)
    except (OSError, SafetensorError) as error:
        raise AutoPruneError(f"cannot write the model to {into}: {error}") from None
    size = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
    return Exported(into, size, zeros, target.weights, model.config.model_type in ARCHITECTURES)


def model_card(name: str, facts: Mapping[str, Any]) -> str:
    """The card: metadata for the hub, with the base model's id there if it is known, and the facts as a table."""
    title = f"{Path(name).name}, {facts['sparsity']:.1%} sparse"
    return f"""---
{card_metadata(name, title, facts, "sparse")}
---

# {title}

Pruned with AutoPrune from `{origin(name)}`. The licence and the limits of that model hold for this one too.

{fact_table(facts)}

The zeros are in the linear layers of the decoder blocks; embeddings and head are dense. The files store them as
ordinary numbers, so this directory is as large as the dense model's; `autoprune prune --packed` writes a smaller one.
No speed-up of inference is promised: that takes software that makes use of zeros. `autoprune export` writes the model
for llama.cpp, quantised if asked. The same facts, for programs, are in `{RECIPE_FILE}`.
"""


def card_metadata(name: str, title: str, facts: Mapping[str, Any], kind: str) -> str:
    """YAML as the hub reads it: https://huggingface.co/docs/hub/model-cards. `kind`: a tag for how it was pruned."""
    from huggingface_hub import EvalResult, ModelCardData

    text = facts.get("perplexity_text")
    measured = {"perplexity": "Perplexity", "perplexity_dense": "Perplexity of the dense model"}
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=str(text["source"]),
            dataset_name=f"{text['source']}, {text['windows']} windows of {text['seqlen']} tokens",
            dataset_split="report",
            metric_type="perplexity",
            metric_name=label,
            metric_value=facts[fact],
        )
        for fact, label in measured.items()
        if text is not None and facts.get(fact) is not None
    ]
    card = ModelCardData(
        base_model=hub_id(name),
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["pruned", kind, "autoprune"],
        model_name=title if results else None,
        eval_results=results or None,
    )
    return str(card.to_yaml())


def fact_table(facts: Mapping[str, Any]) -> str:
    """The facts as a Markdown table."""
    rows = "\n".join(f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in facts.items())
    return f"| | |\n|---|---|\n{rows}"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value).replace("|", "\\|")


def _check_files(target: Target, folder: Path) -> None:
    """Compare the zeros in the files with those in memory. Splitting, merging and transposing keep their number."""
    in_files = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            in_files += sum(_zeros(opened.get_tensor(name)) for name in sorted(opened.keys()))
    stored = {tensor.data_ptr(): tensor for tensor in target.model.state_dict().values()}
    in_memory = sum(map(_zeros, stored.values()))
    if in_files != in_memory:
        raise AutoPruneError(f"the files hold {in_files} zeros, the model {in_memory}; they were not kept")


def _zeros(tensor: Tensor) -> int:
    return tensor.numel() - int(torch.count_nonzero(tensor))
