import math

import pytest
import torch

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.density_effects import BLOCKS, STEP, _groups, density_effects
from autoprune.evaluation.trials import Trials
from autoprune.pruning.layers import THIRDS, LayerInfo


@pytest.fixture
def bench(open_tiny_bench):
    return open_tiny_bench(sparsity=0.5)


@pytest.fixture
def uniform(bench):
    units = bench.units_by("module")
    return units.spread([0.5] * len(units.sizes), 0.5)


@pytest.mark.parametrize("refinement", ["none", "swaps"])
def test_every_role_in_every_third_that_has_layers_gets_an_effect(bench, uniform, refinement):
    effects = density_effects(bench, "wanda", uniform, refinement)
    groups = {(layer.role, layer.third) for layer in bench.layers}
    assert {(effect.role, effect.third) for effect in effects} == groups
    assert math.isclose(sum(effect.share for effect in effects), 1.0)
    assert [THIRDS.index(each.third) for each in effects if each.role == "q"] == sorted(
        THIRDS.index(each.third) for each in effects if each.role == "q"
    )
    assert all(math.isfinite(effect.change) for effect in effects)
    assert any(effect.change != 0 for effect in effects)


def test_each_effect_has_the_standard_error_of_paired_windows(bench, uniform):
    algorithm, units = Published.named("wanda"), bench.units_by("module")
    effect = density_effects(bench, "wanda", uniform)[0]
    chosen = [layer for layer in bench.layers if (layer.role, layer.third) == (effect.role, effect.third)]
    more = {**uniform, **{layer.name: uniform[layer.name] + round(STEP * layer.size) for layer in chosen}}
    with algorithm.open(bench.readable()) as scoring, Trials(bench, units, scoring) as trials:
        count = min(4, trials.windows)
        pairs = zip(trials.losses(more, count), trials.losses(uniform, count), strict=True)
        changes = torch.tensor([after - before for after, before in pairs], dtype=torch.float64)
    assert effect.error == pytest.approx(float(changes.std() / count**0.5), rel=1e-6, abs=1e-9)


def test_the_first_and_the_last_blocks_are_groups_of_their_own():
    layers = [
        LayerInfo(f"{block}.{role}", role, block, block / 4, (4, 4), f"{block}") for block in range(5) for role in "qk"
    ]
    groups = _groups(layers)
    assert [group for role, group in groups if role == BLOCKS] == ["block 0", "block 1", "block 3", "block 4"]
    assert [layer.name for layer in groups[BLOCKS, "block 3"]] == ["3.q", "3.k"]
    assert not [role for role, _ in _groups(layers[:8]) if role == BLOCKS]


def test_the_effect_is_what_the_same_masks_cost_when_they_are_measured_whole(bench, uniform):
    effect = density_effects(bench, "wanda", uniform)[0]
    units = bench.units_by("module")
    algorithm = Published.named("wanda")
    chosen = [layer for layer in bench.layers if (layer.role, layer.third) == (effect.role, effect.third)]
    more = {**uniform, **{layer.name: uniform[layer.name] + round(STEP * layer.size) for layer in chosen}}
    losses = []
    for zeros in (uniform, more):
        with algorithm.open(bench.readable()) as scoring, Trials(bench, units, scoring) as trials:
            losses.append(trials.loss(zeros, trials.windows))
    assert effect.change == pytest.approx(losses[1] - losses[0], abs=1e-6)


def test_the_target_is_whole_again(bench, uniform):
    density_effects(bench, "wanda", uniform, "swaps")
    bench.target.verify()
