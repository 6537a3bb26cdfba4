"""Small checkpoints and ways to damage them, for tests of what is refused when a target is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from autoprune.errors import UsageError
from autoprune.models.target import Target, load_target
from tests.conftest import save_tokenizer

WEIGHTS = "model.safetensors"
SIZE = {
    "vocab_size": 384,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def llama(**changes: Any) -> LlamaForCausalLM:
    """A random Llama of two decoder blocks, the same at every call."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**SIZE, **changes}))


def saved(model: PreTrainedModel, into: Path, **options: Any) -> Path:
    """A model's directory with a tokenizer. `options`: of `save_pretrained`."""
    model.save_pretrained(into, **options)
    save_tokenizer(into)
    return into


def edit_tensors(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")


def load(folder: Path | str, offload: str = "none", dtype: str = "float32") -> Target:
    return load_target(str(folder), "cpu", dtype, offload)


def refusal(folder: Path | str, offload: str = "none", dtype: str = "float32") -> str:
    """The one line with which a target is refused."""
    with pytest.raises(UsageError) as caught:
        load(folder, offload, dtype)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)
