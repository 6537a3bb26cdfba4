"""The model that a caller of the Python API gives: a path, a name, or a live transformers model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from autoprune.config import Config, load_config
from autoprune.errors import UsageError
from autoprune.keywords import EXPERIMENT, assignments, labels
from autoprune.models.target import Target, live_target

Model = str | Path | nn.Module
"""A directory, a hub id, a GGUF file or a built-in name; or a causal language model of transformers."""
LOADING = ("device", "dtype", "offload")
"""Keywords about how a model is loaded."""


def settings_for(model: Model, keywords: Mapping[str, Any]) -> Config:
    """The settings of `prune` and `compare` by keywords. Raises UsageError for an invalid value, and for a keyword
    about loading beside a live model."""
    if isinstance(model, nn.Module):
        for name in LOADING:
            if keywords[name] != "auto":
                raise UsageError(f"{name}={keywords[name]!r} is for a model that is loaded; a live model keeps its own")
    values = {key: _plain(keywords[name]) for name, key in EXPERIMENT.items() if name != "model"}
    values["model"] = type(model).__name__ if isinstance(model, nn.Module) else _name(model)
    values["data.search_windows"] = min(keywords["windows"], Config().data.search_windows)
    return load_config(None, assignments(values), typed=labels(EXPERIMENT, EXPERIMENT, option=False))


@contextmanager
def opened_live(model: Model, tokenizer: Any) -> Iterator[Target | None]:
    """A live model as a target while this context lasts, or None for a model that is to be loaded.

    Raises UsageError for a live model without a tokenizer, a tokenizer beside a model that is loaded with its own, and
    anything that is no causal language model.
    """
    if not isinstance(model, nn.Module):
        if tokenizer is not None:
            raise UsageError(f"a tokenizer is for a live model; {model} is loaded with its own")
        yield None
        return
    if not hasattr(model, "config") or not hasattr(model, "get_input_embeddings"):
        raise UsageError(f"{type(model).__name__} is no causal language model of transformers")
    if tokenizer is None:
        raise UsageError("a live model needs its tokenizer, for the calibration text: tokenizer=...")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise UsageError("the model has weights that are not in memory; load it without offloading, or give its path")
    with live_target(model, tokenizer) as target:
        yield target


def _name(model: str | Path) -> str:
    if not isinstance(model, str | Path):
        raise UsageError(
            f"the model is a {type(model).__name__}; give a path, a name, or a causal language model of transformers"
        )
    return str(model)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
