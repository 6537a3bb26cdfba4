"""The fingerprint of a model: a hash over its class, configuration and values, under which measurements are stored."""

import ctypes
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig

NOT_COMPUTED_WITH = frozenset(GenerationConfig().to_dict()) - {"pad_token_id"} | {
    "_commit_hash",
    "architectures",
    "auto_map",
    "dtype",
    "finetuning_task",
    "id2label",
    "initializer_range",
    "label2id",
    "model_max_length",
    "prefix",
    "problem_type",
    "quantization_config",
    "return_dict",
    "sep_token_id",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
    "use_bfloat16",
}
"""Configuration keys that do not affect a forward pass: generation, initialisation, files and versions. The dtype is
that of the values. The padding token is not among them, since positions can depend on it."""
ALSO_NOT = re.compile(r"name_or_path$|dropout|pdrop|layerdrop")
IMPLEMENTATIONS = ("_attn_implementation", "_experts_implementation")
"""Implementations of the same computation that differ in the last bits."""


def checksum(
    model: nn.Module,
    stored: Mapping[str, Tensor] | None = None,
    see: Callable[[str, Tensor], None] = lambda name, values: None,
) -> str:
    """A hash over class, configuration, parameters and persistent buffers (16 hex digits).

    `stored`: values of parameters that are not in memory, by name. `see(name, values)` is called for each tensor.
    """
    digest = hashlib.sha256(json.dumps(described(model), sort_keys=True).encode())
    for name, tensor in _state(model):
        values = (stored[name] if stored and tensor.is_meta else tensor).detach()
        see(name, values)
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def described(model: nn.Module) -> dict[str, Any]:
    """All that a forward pass depends on except the model's values, as normalised plain data."""
    config: Any = model.config
    ways = {name.strip("_"): _plain(getattr(config, name, None)) for name in IMPLEMENTATIONS}
    return {"class": type(model).__name__, "configuration": _plain(config), **ways}


def _state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by name; shared ones appear once."""
    yield from model.named_parameters()
    persistent = model.state_dict(keep_vars=True).keys()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in persistent)


def _plain(value: Any) -> Any:
    if isinstance(value, PreTrainedConfig):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if _counts(str(key))}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # 10000 and 10000.0 are the same to a model, but not in JSON
    if isinstance(value, float):
        return ctypes.c_float(value).value  # the precision of GGUF files and of the computation
    return value if isinstance(value, bool | str | None) else str(value)


def _counts(name: str) -> bool:
    return name not in NOT_COMPUTED_WITH and not ALSO_NOT.search(name)
