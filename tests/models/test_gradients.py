"""Statistics of a backward pass: gradients of the loss by weights and by layer outputs."""

from functools import partial

import pytest
import torch

from autoprune.models.blocks import watch_inputs
from autoprune.models.gradients import collect_gradients, collect_output_sensitivity
from autoprune.models.target import Target
from tests.architectures.families import VOCABULARY, tiny

WINDOWS = torch.randint(3, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))


def target_of(family: str) -> Target:
    return Target(tiny(family), None, family)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "gpt_oss"])
def test_gradients_are_the_mean_size_of_the_loss_gradient(family):
    target = target_of(family)
    found = collect_gradients(target, WINDOWS[:2])
    assert all(not parameter.requires_grad for parameter in target.model.parameters())
    expected = {layer.info.name: torch.zeros(layer.info.shape) for layer in target.prunable}
    for parameter in target.model.parameters():
        parameter.requires_grad_(True)
    for window in WINDOWS[:2]:
        logits = target.model(window.unsqueeze(0)).logits[0]
        target.model.zero_grad()
        torch.nn.functional.cross_entropy(logits[:-1], window[1:]).backward()
        for layer in target.prunable:
            assert layer.parameter.grad is not None
            expected[layer.info.name] += layer.oriented(layer.parameter.grad).abs() / 2
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-6)


def keep(outputs, layer, module, args, output):
    outputs[layer.info.name] = output


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "opt"])
def test_output_sensitivity_is_the_mean_squared_gradient_of_the_loss_by_an_output(family):
    target = target_of(family)
    found = collect_output_sensitivity(target, WINDOWS)
    expected = {layer.info.name: torch.zeros(layer.info.shape[0]) for layer in target.prunable}
    for parameter in target.model.parameters():
        parameter.requires_grad_(True)
    for window in WINDOWS:
        outputs: dict[str, torch.Tensor] = {}
        handles = [layer.module.register_forward_hook(partial(keep, outputs, layer)) for layer in target.prunable]
        logits = target.model(window.unsqueeze(0)).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], window[1:], reduction="sum")
        for name, gradient in zip(outputs, torch.autograd.grad(loss, list(outputs.values())), strict=True):
            expected[name] += gradient.flatten(0, -2).square().sum(0) / WINDOWS.numel()
        for handle in handles:
            handle.remove()
    assert list(found) == list(expected)
    for name, sensitivity in expected.items():
        torch.testing.assert_close(found[name], sensitivity, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "gpt_oss"])
def test_the_sensitivity_of_an_expert_that_sees_one_token_is_that_of_its_weight_gradient(family):
    """The gradient of its weight is then g x^T, whose rows have the norms |g_i| |x|."""
    target = target_of(family)
    window = WINDOWS[:1, :3]
    inputs: dict[str, list[torch.Tensor]] = {}
    watches = watch_inputs(target.prunable, lambda info, seen: inputs.setdefault(info.name, []).append(seen))
    target.model(window, use_cache=False)
    for watch in watches:
        watch.remove()
    found = collect_output_sensitivity(target, window)
    gradients = collect_gradients(target, window)
    alone = [
        layer.info.name
        for layer in target.prunable
        if layer.expert is not None and sum(len(each) for each in inputs.get(layer.info.name, [])) == 1
    ]
    assert alone
    for name in alone:
        positions = window.numel() - 1  # the loss of a weight's gradient is the mean over them
        rows = (gradients[name] * positions).square().sum(1) / inputs[name][0].square().sum()
        torch.testing.assert_close(found[name], rows / window.numel(), rtol=1e-3, atol=1e-9)


def test_sensitivities_of_some_blocks_are_those_of_all():
    target = target_of("llama")
    few, every = collect_output_sensitivity(target, WINDOWS, blocks=[1]), collect_output_sensitivity(target, WINDOWS)
    assert list(few) == [layer.name for layer in target.layers if layer.block == 1]
    for name, sensitivity in few.items():
        torch.testing.assert_close(sensitivity, every[name])


def test_nothing_is_left_behind():
    target = target_of("llama")
    before = target.model(WINDOWS[:1], use_cache=False).logits
    collect_output_sensitivity(target, WINDOWS)
    assert not target.model(WINDOWS[:1], use_cache=False).logits.requires_grad
    torch.testing.assert_close(target.model(WINDOWS[:1], use_cache=False).logits, before, rtol=0, atol=0)
    target.verify()
