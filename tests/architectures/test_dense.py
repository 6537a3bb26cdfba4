"""Matrices that no algorithm prunes: those that are not called, are shared by blocks, or are of an unknown kind."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.compare import run
from autoprune.evaluation.recipe import Recipe
from autoprune.models.statistics import collect_inputs
from autoprune.models.target import Target, load_target
from tests.architectures.families import VOCABULARY, tiny

WINDOWS = torch.randint(3, VOCABULARY, (3, 20), generator=torch.Generator().manual_seed(1))


def saved(family: str, into: Path, tiny_model: Path) -> str:
    tiny(family).save_pretrained(into)
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, into)
    return str(into)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("mamba", "backbone.layers.*.mixer.dt_proj"),
        ("falcon_mamba", "backbone.layers.*.mixer.dt_proj"),
        ("jamba", "model.layers.*.mamba.dt_proj"),
    ],
)
def test_layers_that_are_used_without_being_called_stay_dense_and_are_named(
    family, kind, tmp_path, tiny_model, open_tiny_bench, logged
):
    model = saved(family, tmp_path / family, tiny_model)
    target = load_target(model, "cpu", "float32")
    assert f"3 layers stay dense, as the model does not call them: {kind}" in logged
    assert not any("dt_proj" in layer.name for layer in target.layers)
    bench = open_tiny_bench(model=model)
    zeros = set()
    for algorithm, recipe in (
        ("magnitude", Recipe(0.5)),
        ("wanda", Recipe(0.5)),
        ("wanda", Recipe(0.5, update="obs", statistics="sequential")),
        ("gblm", Recipe(0.5, "sdsa")),
    ):
        row = run(bench, Published.named(algorithm), recipe, "search")
        zeros.add((row.zeros, row.weights))
    assert zeros == {(round(0.5 * target.weights), target.weights)}


@pytest.mark.parametrize(
    ("family", "layers", "shared"), [("zamba", 12, "shared_transf"), ("zamba2", 12, "shared_transformer")]
)
def test_weights_that_blocks_share_stay_dense_and_are_named(family, layers, shared):
    target = Target(tiny(family), None, family)
    assert len(target.layers) == layers
    assert not any(shared in layer.name for layer in target.layers)
    assert "stay dense, as several decoder blocks share their weights: model.layers.*." in target.dense[0]
    before = {name: each.clone() for name, each in target.model.named_parameters() if shared in name}
    with target.edited() as edits:
        for layer in target.layers:
            edits.weight(layer.name, torch.zeros(layer.shape))
        assert all(torch.equal(each, before[name]) for name, each in target.model.named_parameters() if name in before)


@pytest.mark.parametrize(
    ("family", "share", "kind"),
    [
        ("dbrx", "65%", "transformer.blocks.*.ffn.experts.mlp.w2"),
        ("jetmoe", "94%", "model.layers.*.self_attention.experts.output_linear.weight"),
        ("llama4_text", "70%", "model.layers.*.feed_forward.experts.gate_up_proj"),
    ],
)
def test_weights_in_modules_of_an_unknown_kind_are_named_with_their_share(family, share, kind):
    (line,) = Target(tiny(family), None, family).dense
    assert line.startswith(f"{share} of the weights of the decoder blocks stay dense")
    assert kind in line


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "gemma4_text", "mamba2"])
def test_nothing_is_said_where_all_linear_matrices_are_prunable(family):
    assert Target(tiny(family), None, family).dense == []


def test_experts_that_no_token_chose_are_prunable():
    """Sixteen experts, of which the first pass, and the calibration text, reach a few."""
    model: Any = tiny("mixtral")
    for layer in model.model.layers:
        layer.mlp.gate.weight.data[2:] = 0.0
        layer.mlp.gate.weight.data[:2] *= 100.0
    target = Target(model, None, "mixtral")
    assert (len(target.layers), target.dense) == (36, [])
    statistics = collect_inputs(target, WINDOWS)
    assert all(bool(each["input_norm"].any()) for each in statistics.values())


@pytest.mark.parametrize("name", ["q_proj", "o_proj"])
def test_a_weight_that_is_read_past_its_layer_stays_dense(name):
    class Past(nn.Module):
        """Uses the weight of a layer, as kernels do."""

        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, inputs: Tensor) -> Tensor:
            return functional.linear(inputs, self.layer.weight)

    model: Any = tiny("llama")
    for layer in model.model.layers[:2]:
        setattr(layer.self_attn, name, Past(getattr(layer.self_attn, name)))
    target = Target(model, None, "llama")
    assert target.dense == [
        f"2 layers stay dense, as the model does not call them: model.layers.*.self_attn.{name}.layer"
    ]
    assert len(target.layers) == 3 * 7 - 2
    assert collect_inputs(target, WINDOWS).keys() == {layer.name for layer in target.layers}


@pytest.mark.parametrize("family", ["hunyuan_v1_moe", "dbrx", "jetmoe", "longcat_flash"])
def test_routers_that_hold_their_linear_module_stay_dense(family):
    assert not any(
        part in layer.name for layer in Target(tiny(family), None, family).layers for part in (".router.", ".gate.")
    )
