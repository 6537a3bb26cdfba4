"""The walk over decoder blocks, on tiny models of every architecture."""

import pytest
import torch
from torch import Tensor

from autoprune.models.blocks import watch_inputs
from autoprune.models.target import Target
from autoprune.models.walk import walk
from autoprune.pruning.layers import LayerInfo
from tests.architectures.families import COMMON, VOCABULARY, tiny

WINDOWS = torch.randint(3, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))


def target_of(family: str) -> Target:
    return Target(tiny(family), None, family)


class Inputs:
    """Keeps everything that each layer was given."""

    def __init__(self) -> None:
        self.of: dict[str, list[Tensor]] = {}

    def see(self, info: LayerInfo, inputs: Tensor) -> None:
        self.of.setdefault(info.name, []).append(inputs.clone())

    def joined(self) -> dict[str, Tensor]:
        return {name: torch.cat(parts) for name, parts in self.of.items()}


def by_whole_passes(target: Target) -> dict[str, Tensor]:
    seen = Inputs()
    handles = watch_inputs(target.prunable, seen.see)
    with torch.inference_mode():
        for window in WINDOWS:
            target.model(window.unsqueeze(0), use_cache=False)
    for handle in handles:
        handle.remove()
    return seen.joined()


def halve(weight: Tensor) -> None:
    """Something that later blocks feel."""
    weight[:, ::2] = 0.0


@pytest.mark.parametrize("family", COMMON)
def test_a_walk_shows_every_layer_what_a_whole_pass_shows_it(family):
    target = target_of(family)
    expected = by_whole_passes(target)
    for sequential in (False, True):
        seen = Inputs()
        blocks = [len(layers) for layers in walk(target, WINDOWS, seen.see, sequential)]
        assert len(blocks) == 3
        assert sum(blocks) == len(target.layers) > 0
        found = seen.joined()
        assert found.keys() == expected.keys()
        # Experts are watched one by one, but pass on in one product: other roundings in the last digit.
        rounded = sequential and any(layer.expert is not None for layer in target.prunable)
        exactly = {} if rounded else {"rtol": 0.0, "atol": 0.0}
        for name, inputs in expected.items():
            torch.testing.assert_close(found[name], inputs, **exactly)


@pytest.mark.parametrize("family", COMMON)
def test_walking_without_pruning_leaves_the_logits_unchanged(family):
    target = target_of(family)
    before = target.model(WINDOWS).logits
    for _ in walk(target, WINDOWS, lambda info, inputs: None, sequential=True):
        pass
    assert torch.equal(target.model(WINDOWS).logits, before)


@pytest.mark.parametrize("family", COMMON)
def test_sequential_inputs_come_from_the_pruned_prefix(family):
    target = target_of(family)
    seen = Inputs()
    for layers in walk(target, WINDOWS, seen.see, sequential=True):
        for layer in layers:
            halve(layer.weight)
    found = seen.joined()

    reference = target_of(family)
    for block in range(3):
        expected = by_whole_passes(reference)
        layers = [layer for layer in reference.prunable if layer.info.block == block]
        for layer in layers:
            name = layer.info.name
            assert (name in found) == (name in expected)  # an expert may see no token
            if name in found:
                torch.testing.assert_close(found[name], expected[name])
            halve(layer.weight)


def test_dense_inputs_ignore_what_was_done_to_earlier_blocks():
    target = target_of("llama")
    expected, seen = by_whole_passes(target), Inputs()
    for layers in walk(target, WINDOWS, seen.see, sequential=False):
        for layer in layers:
            halve(layer.weight)
    assert all(torch.equal(seen.joined()[name], inputs) for name, inputs in expected.items())


def test_a_walk_that_is_abandoned_leaves_no_hook_and_no_patch_behind():
    target = target_of("llama")
    before = target.model(WINDOWS).logits
    seen = Inputs()
    steps = walk(target, WINDOWS, seen.see, sequential=True)
    next(steps)
    steps.close()
    seen.of.clear()
    assert torch.equal(target.model(WINDOWS).logits, before)
    assert seen.of == {}


def test_progress_is_told_once_for_each_window_and_block():
    steps = []
    for _ in walk(target_of("llama"), WINDOWS, lambda info, inputs: None, True, advance=lambda: steps.append(1)):
        pass
    assert len(steps) == 3 * len(WINDOWS)


def test_blocks_visit_the_device_one_at_a_time():
    elsewhere = torch.device("cpu", 0)  # another name for the same place, so that blocks are really moved
    target = Target(tiny("llama"), None, "llama", elsewhere)
    assert target.offloaded
    expected, seen = by_whole_passes(target_of("llama")), Inputs()
    for _ in walk(target, WINDOWS, seen.see, sequential=True):
        pass
    assert all(torch.equal(seen.joined()[name], inputs) for name, inputs in expected.items())
