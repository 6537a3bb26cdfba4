"""Saving pruned models: what from_pretrained loads is what was promised."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from autoprune.errors import UsageError
from autoprune.models.packed import pack, unpack
from autoprune.models.saving import count_zeros, save_pruned, settle
from autoprune.models.target import Target, load_target
from autoprune.pruning.masks import make_mask

RECIPE = {"algorithm": "magnitude", "allocation": "uniform", "perplexity": 12.345678, "data": {"tokens": "abc|def"}}


def prune_by_magnitude(target: Target, share: float) -> int:
    """Prune for good; returns the number of zeros that this makes."""
    total = 0
    for layer in target.layers:
        weight = target.live_weight(layer.name)
        zeros = round(share * layer.size)
        weight.mul_(make_mask(weight.abs(), weight, zeros, "matrix"))
        total += zeros
    return total


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_saved_model_loads_with_the_promised_zeros_and_the_same_logits(tiny_target, tmp_path, dtype):
    zeros = prune_by_magnitude(tiny_target, 0.6)
    exported = save_pruned(tiny_target, tmp_path / "out", RECIPE, dtype)
    assert exported.zeros == zeros
    loaded = load_target(str(tmp_path / "out"), "cpu", str(dtype).removeprefix("torch."))
    assert count_zeros(loaded) == zeros
    tokens = torch.arange(20).unsqueeze(0)
    assert torch.equal(loaded.model(tokens).logits, tiny_target.model(tokens).logits)
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "out")("hello").input_ids == tiny_target.tokenizer("hello").input_ids
    )


def test_files_are_in_the_asked_dtype_and_hold_no_negative_zero(tiny_target, tmp_path):
    prune_by_magnitude(tiny_target, 0.5)
    save_pruned(tiny_target, tmp_path / "out", RECIPE, torch.bfloat16)
    for tensor in load_file(tmp_path / "out" / "model.safetensors").values():
        assert tensor.dtype == torch.bfloat16
        assert not bool(((tensor == 0) & tensor.signbit()).any())
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


def test_settled_weights_are_those_that_will_be_saved(tiny_target, tmp_path):
    prune_by_magnitude(tiny_target, 0.5)
    settle(tiny_target, torch.bfloat16)
    measured = {name: tensor.clone() for name, tensor in tiny_target.model.state_dict().items()}
    save_pruned(tiny_target, tmp_path / "out", RECIPE, torch.bfloat16)
    saved = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(measured[name], tensor.float()) for name, tensor in saved.items())


def test_the_card_and_the_recipe_tell_what_was_done(tiny_target, tmp_path):
    save_pruned(tiny_target, tmp_path / "out", RECIPE, torch.float32)
    facts = json.loads((tmp_path / "out" / "autoprune.json").read_text())
    assert facts["algorithm"] == "magnitude"
    assert facts["zeros"] == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| perplexity | 12.3457 |" in card
    assert r"abc\|def" in card


def test_a_directory_in_use_is_not_overwritten_and_an_empty_one_is_filled(tiny_target, tmp_path):
    (tmp_path / "empty").mkdir()
    save_pruned(tiny_target, tmp_path / "empty", RECIPE, torch.float32)
    with pytest.raises(UsageError, match="exists already"):
        save_pruned(tiny_target, tmp_path / "empty", RECIPE, torch.float32)


def test_packed_is_smaller_than_the_directory_and_restores_it(tiny_target, tmp_path):
    prune_by_magnitude(tiny_target, 0.6)
    save_pruned(tiny_target, tmp_path / "out", RECIPE, torch.float32)
    pack(tmp_path / "out", tmp_path / "out.packed")
    unpack(tmp_path / "out.packed", tmp_path / "again")
    assert (tmp_path / "out.packed").stat().st_size < size_of(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
