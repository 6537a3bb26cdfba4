"""A model that holds zeros before it is pruned, as one that was dequantised or pruned before."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autoprune.evaluation.bench import Bench


@pytest.fixture
def holed_bench(tiny_model: Path, open_tiny_bench: Callable[..., Bench], tmp_path: Path) -> Bench:
    """A bench on it: in one matrix every third input is zero, and the whole first group of four."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    weight = model.model.layers[1].mlp.up_proj.weight.data
    weight[:, ::3] = 0.0
    weight[:, :4] = 0.0
    model.save_pretrained(tmp_path / "holes")
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, tmp_path / "holes")
    return open_tiny_bench(model=str(tmp_path / "holes"))
