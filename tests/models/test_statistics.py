"""Calibration statistics against plain formulas on recorded inputs."""

import pytest
import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.models.blocks import watch_inputs
from autoprune.models.statistics import (
    STRIP,
    InputMoments,
    Observer,
    collect_hessians,
    collect_inputs,
)
from autoprune.models.target import Target
from autoprune.models.walk import walk
from tests.architectures.families import COMMON, VOCABULARY, tiny
from tests.models.checkpoints import edit_tensors, llama, load, saved
from tests.models.layer_inputs import layer_inputs

EMBEDDING = "model.embed_tokens.weight"
WINDOWS = torch.randint(3, VOCABULARY, (4, 12), generator=torch.Generator().manual_seed(1))


def target_of(family: str) -> Target:
    return Target(tiny(family), None, family)


def inputs_of(target: Target) -> dict[str, Tensor]:
    return layer_inputs(target, target.prunable, WINDOWS)


@pytest.mark.parametrize("family", COMMON)
def test_statistics_are_the_moments_of_the_inputs(family):
    target = target_of(family)
    inputs = inputs_of(target)
    found = collect_inputs(target, WINDOWS)
    assert list(found) == [layer.name for layer in target.layers]
    for name, x in inputs.items():
        close = {"rtol": 1e-4, "atol": 1e-6}
        torch.testing.assert_close(found[name]["input_norm"], x.norm(dim=0).float(), **close)
        torch.testing.assert_close(found[name]["input_mean"], x.mean(0).float(), **close)
        torch.testing.assert_close(found[name]["input_var"], x.var(0, correction=0).float(), **close)
        torch.testing.assert_close(found[name]["hessian_diag"], x.square().mean(0).float(), **close)
        assert all(tensor.dtype == torch.float32 for tensor in found[name].values())


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_hessians_are_the_mean_outer_product_of_the_inputs(family):
    target = target_of(family)
    found = {name: hessian for block in collect_hessians(target, WINDOWS) for name, hessian in block.items()}
    for name, x in inputs_of(target).items():
        torch.testing.assert_close(found[name], (x.T @ x / len(x)).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("features", [1, STRIP - 1, STRIP, STRIP + 1, 3 * STRIP - 5])
def test_a_hessian_of_several_strips_is_whole_and_symmetric(features):
    x = torch.randn(2, 40, features, generator=torch.Generator().manual_seed(features))
    moments = InputMoments(features, torch.device("cpu"), hessian=True)
    for inputs in x:
        moments.see(inputs)
    rows = x.reshape(-1, features).double()
    hessian = moments.statistics("layer")["hessian"]
    torch.testing.assert_close(hessian, (rows.T @ rows / len(rows)).float(), rtol=1e-4, atol=1e-5)
    assert torch.equal(hessian, hessian.T)


def test_layers_given_the_same_tensor_share_one_accumulation():
    target = target_of("llama")
    observer = Observer(target, hessian=True)
    for layers in walk(target, WINDOWS, observer.see, sequential=False):
        taken = observer.take(layers)
        hessians = {layer.info.role: taken[layer.info.name]["hessian"] for layer in layers}
        assert hessians["q"] is hessians["k"] is hessians["v"]
        assert hessians["gate"] is hessians["up"]
        assert len({id(hessian) for hessian in hessians.values()}) == 4


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("float32", float("nan"), "(NaN in model.embed_tokens.weight): the checkpoint is damaged"),
        ("float16", 1e6, "(infinity in model.embed_tokens.weight); try dtype bfloat16 or float32"),
    ],
)
def test_inputs_that_are_not_finite_are_named_with_their_reason(tmp_path, dtype, value, said):
    folder = saved(llama(), tmp_path / "m")
    unseen = next(token for token in range(384) if token not in load(folder).first_pass.tokens)
    edit_tensors(folder, lambda all: all | {EMBEDDING: all[EMBEDDING].index_fill(0, torch.tensor([unseen]), value)})
    with pytest.raises(UsageError) as caught:
        collect_inputs(load(folder, dtype=dtype), torch.full((1, 8), unseen))
    assert "layers.0.self_attn.q_proj are not finite on the calibration text: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "gpt_oss"])
def test_an_expert_without_tokens_gets_what_the_others_saw(family):
    target = target_of(family)
    few = WINDOWS[:1, :1].expand(1, 2)  # two equal tokens: not every expert is reached
    found = collect_inputs(target, few)
    assert list(found) == [layer.name for layer in target.layers]
    seen: set[str] = set()
    handles = watch_inputs(target.prunable, lambda info, inputs: seen.add(info.name))
    target.model(few, use_cache=False)
    for handle in handles:
        handle.remove()
    missed = [layer for layer in target.prunable if layer.info.name not in seen]
    assert missed
    layer = missed[0]
    reached = [
        found[each.info.name]["input_norm"].square()
        for each in target.prunable
        if each.module is layer.module and each.attribute == layer.attribute and each.info.name in seen
    ]
    torch.testing.assert_close(found[layer.info.name]["input_norm"], torch.stack(reached).sum(0).sqrt())


def test_progress_is_told_once_for_each_window():
    steps: list[int] = []
    collect_inputs(target_of("llama"), WINDOWS, lambda: steps.append(1))
    assert len(steps) == len(WINDOWS)


def test_inputs_that_are_not_finite_are_named():
    target = target_of("llama")
    target.prunable[0].module.weight.data[0, 0] = torch.inf
    with pytest.raises(UsageError, match=r"the inputs of layer .* are not finite"):
        collect_inputs(target, WINDOWS)
