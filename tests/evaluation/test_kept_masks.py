"""An algorithm is scored once for all splits, and its further measurements are those of a bench that scores again."""

from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.kept_masks import Kept, KeptMasks, key_of, packed
from autoprune.evaluation.recipe import Recipe
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.runs.measurement import Measurement
from tests.evaluation.given_scores import GivenScores, random_scores

TIMES = {"seconds"}
"""Fields of a measurement that differ between two measurements of the same."""


class Counted(Published):
    """A published score that counts how often it is opened."""

    opened = 0

    @contextmanager
    def open(self, readable):
        type(self).opened += 1
        with super().open(readable) as session:
            yield session


def kept_masks(bits, perplexity):
    facts = {"subject": "s", "split": "search", "sparsity": 0.5, "zeros": 1, "weights": 2, "seqlen": 8, "windows": 1}
    return Kept(LayerZeros({}, {}), bits, Measurement(perplexity=perplexity, **facts))


@pytest.fixture
def wanda(monkeypatch):
    monkeypatch.setattr(Counted, "opened", 0)
    return Counted(Published.named("wanda").score)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(0.5, refinement="swaps"), Recipe(0.5, "sdsa"), Recipe(0.5, pattern="2:4")],
    ids=["swaps", "sdsa", "pattern"],
)
def test_a_second_split_is_measured_without_scoring_and_like_on_another_bench(open_tiny_bench, wanda, recipe):
    bench = open_tiny_bench()
    measure(bench, wanda, recipe, "search", subject="s")
    again = measure(bench, wanda, recipe, "report", subject="s")
    assert wanda.opened == 1
    anew = measure(open_tiny_bench(), wanda, recipe, "report", subject="s")
    assert wanda.opened == 2
    assert again.model_dump(exclude=TIMES) == anew.model_dump(exclude=TIMES)


def test_another_recipe_another_score_and_another_calibration_sample_are_scored(bench, wanda):
    measure(bench, wanda, Recipe(0.5), "search")
    measure(bench, wanda, Recipe(0.6), "report")
    measure(bench, Counted(Published.named("magnitude").score), Recipe(0.5), "report")
    measure(bench.calibrated(1), wanda, Recipe(0.5), "report")
    assert wanda.opened == 4


@pytest.mark.parametrize(
    "recipe", [Recipe(0.5, update="obs"), Recipe(0.5, statistics="sequential")], ids=["update", "sequential"]
)
def test_updates_and_statistics_behind_pruned_blocks_are_not_kept(wanda, recipe):
    assert key_of(wanda, recipe) is None


def test_masks_that_are_too_large_to_keep_are_not_even_packed(bench, wanda, monkeypatch):
    bench.masks = KeptMasks(limit=bench.target.weights // 8 - 1)
    monkeypatch.setattr("autoprune.evaluation.evaluator.packed", None)  # calling it would fail
    for split in ("search", "report"):
        measure(bench, wanda, Recipe(0.5), split)
    assert wanda.opened == 2


def test_an_algorithm_without_identity_is_asked_again(bench):
    algorithm = GivenScores(random_scores(bench))
    for split in ("search", "report"):
        measure(bench, algorithm, Recipe(0.5), split)
    assert len(algorithm.asked) == 2 * len(bench.layers)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_masks_of_any_shape_survive_packing(rows, columns, seed):
    mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.5
    kept = kept_masks({"layer": packed(mask)}, 1.0)
    assert torch.equal(kept.mask("layer", torch.empty(rows, columns)), mask)
    assert kept.size == -(-rows * columns // 8)


def test_the_worst_masks_make_room():
    bits = {"layer": packed(torch.ones(8, 8, dtype=torch.bool))}
    masks = KeptMasks(limit=16)
    for name, perplexity in {"a": 30.0, "b": 20.0, "c": 25.0}.items():
        masks.keep(name, kept_masks(bits, perplexity))
    assert [name for name in "abc" if masks.find(name)] == ["b", "c"]
