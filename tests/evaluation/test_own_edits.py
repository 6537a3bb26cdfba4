"""Candidates with a `refine` or an `update` of their own, measured on the tiny model in the local sandbox."""

import pytest
import torch

from autoprune.config_sections import SandboxSettings
from autoprune.errors import CandidateFailure, UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.evaluator import measure, prune
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.signature import agreement
from autoprune.runs.measurement import Measurement
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.local import LocalSandbox

WANDA = "import torch\n\ndef score(layer):\n    return layer.weight.abs() * layer.input_norm\n\n"
OBS = (
    WANDA
    + """
def update(layer, mask):
    h = layer.hessian.double()
    damped = h + 0.01 * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype)
    upper = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
    w = layer.weight.double().clone()
    for column in range(w.shape[1]):
        error = torch.where(mask[:, column], 0.0, w[:, column]) / upper[column, column]
        w[:, column:] -= error[:, None] * upper[column, column:]
    return (w * mask).float()
"""
)
SWAPS = (
    WANDA
    + """
def refine(layer, mask):
    w, h = layer.weight, layer.hessian
    mask = mask.clone()
    for _ in range(8):
        lost = w * ~mask
        pull = lost @ h
        add = torch.where(mask, 2 * w * pull + w * w * h.diagonal(), float("inf"))
        drop = torch.where(mask, float("inf"), -2 * w * pull + w * w * h.diagonal())
        for row in range(len(w)):
            cost = add[row][:, None] + drop[row][None, :] - 2 * torch.outer(w[row], w[row]) * h
            best = int(cost.argmin())
            pruned, kept = divmod(best, w.shape[1])
            if cost[pruned, kept] < 0:
                mask[row, pruned], mask[row, kept] = False, True
    return mask
"""
)
HALVED = WANDA + "def update(layer, mask):\n    return layer.weight * mask * 0.5\n"
RECIPE = Recipe(0.5)


@pytest.fixture(scope="module")
def sandbox():
    sandbox = LocalSandbox(SandboxSettings())
    yield sandbox
    sandbox.close()


@pytest.fixture
def measured(bench, sandbox):
    """Measures a source under a recipe."""

    def run(source: str, recipe: Recipe = RECIPE, **more: object) -> Measurement:
        return measure(bench, Candidate("mine", source, sandbox), recipe, "search", **more)

    return run


def test_an_own_obs_update_measures_like_the_published_one(bench, measured):
    published = measure(bench, Published.named("wanda"), Recipe(0.5, update="obs"), "search")
    own = measured(OBS)
    assert own.perplexity == pytest.approx(published.perplexity, rel=2e-3)
    assert own.perplexity != pytest.approx(measured(WANDA).perplexity, rel=2e-3)
    assert own.zeros >= round(0.5 * bench.target.weights)
    assert (own.league, published.league, measured(WANDA).league) == ("update", "update", "mask")
    assert own.repeats is True


def test_own_swaps_lower_the_error_and_keep_every_zero(measured):
    plain, refined = measured(WANDA), measured(SWAPS)
    assert refined.reconstruction < plain.reconstruction
    assert refined.zeros == plain.zeros
    assert refined.league == "mask"
    assert refined.repeats is True


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
def test_the_weights_that_are_measured_are_those_of_the_update(bench, sandbox, statistics):
    dense = {layer.name: bench.target.weight(layer.name).clone() for layer in bench.layers}
    with bench.target.edited() as edits:
        recipe = Recipe(0.5, statistics=statistics)
        _, repeats = prune(bench, Candidate("mine", HALVED, sandbox), recipe, edits)
        assert repeats is True
        for name, weight in dense.items():
            live = bench.target.live_weight(name)
            assert int((live == 0).sum()) == round(0.5 * weight.numel())
            assert torch.equal(live, 0.5 * weight * (live != 0))


def test_statistics_of_a_walk_are_those_behind_the_pruned_blocks(measured):
    sequential, dense = measured(OBS, Recipe(0.5, statistics="sequential")), measured(OBS)
    assert sequential.perplexity != dense.perplexity
    assert sequential.perplexity == pytest.approx(dense.perplexity, rel=0.2)


def test_errors_of_sampled_layers_are_those_of_the_updated_weights(bench, measured):
    sample, halved = bench.sampled("search"), measured(HALVED)
    errors = dict(zip(sample.order(), halved.layer_errors, strict=False))
    pruned = measured(WANDA)
    for (name, error), without in zip(errors.items(), pruned.layer_errors, strict=True):
        weight = bench.target.weight(name)
        kept = weight.abs() * bench.readable().view(name, 0.5).input_norm
        mask = kept >= kept.sort(dim=1, descending=True).values[:, weight.shape[1] // 2 - 1 : weight.shape[1] // 2]
        assert error == pytest.approx(sample.error(name, weight, mask, 0.5 * weight * mask), rel=1e-5)
        assert error > without


def test_an_update_is_stopped_by_its_own_error(measured):
    limit = measured(WANDA).reconstruction
    with pytest.raises(StoppedEarly) as stopped:
        measured(HALVED, ladder=Ladder(most_error=limit))
    assert stopped.value.partial.league == "update"
    assert measured(SWAPS, ladder=Ladder(most_error=limit)).full


def test_the_same_masks_with_another_update_are_no_duplicate(measured):
    plain, halved = measured(WANDA).signature, measured(HALVED).signature
    assert agreement(plain, halved) == 0.0
    assert agreement(halved, measured(HALVED.replace("0.5", "(0.5)")).signature) == 1.0
    assert agreement(halved, measured(HALVED.replace("0.5", "1.5")).signature) < 0.9


@pytest.mark.parametrize("group", ["row", "matrix"])
def test_refine_and_update_follow_a_published_refinement(measured, group):
    source = f"GROUP = '{group}'\n" + SWAPS.replace("range(8)", "range(1)") + OBS.removeprefix(WANDA)
    found = measured(source, Recipe(0.5, refinement="swaps"))
    assert found.reconstruction < measured(WANDA, Recipe(0.5, refinement="swaps")).reconstruction
    assert found.league == "update"


def test_a_published_update_follows_an_own_refinement(bench, measured):
    refined, plain = (measured(source, Recipe(0.5, update="obs")) for source in (SWAPS, WANDA))
    assert refined.league == plain.league == "update"
    assert refined.perplexity != plain.perplexity
    assert refined.zeros >= round(0.5 * bench.target.weights)


def test_two_updates_are_refused(measured):
    with pytest.raises(UsageError, match="mine updates the kept weights itself; the update obs does not fit it"):
        measured(OBS, Recipe(0.5, update="obs"))


def test_a_pattern_holds_for_refined_masks_and_updated_weights(bench, sandbox):
    flipped = "def refine(layer, mask):\n    return mask.unflatten(1, (-1, 4)).flip(2).flatten(1)\n"
    with bench.target.edited() as edits:
        prune(bench, Candidate("mine", HALVED + flipped, sandbox), Recipe(0.5, pattern="2:4"), edits)
        for layer in bench.layers:
            groups = bench.target.live_weight(layer.name).unflatten(1, (-1, 4))
            assert ((groups == 0).sum(2) == 2).all()


def test_what_breaks_the_contract_leaves_the_model_as_it_was(bench, measured):
    with pytest.raises(CandidateFailure, match="not 0 where the mask is False"):
        measured(WANDA + "def update(layer, mask):\n    return layer.weight\n")
    bench.target.verify()


WASTES = (
    WANDA
    + """
def refine(layer, mask):
    mask = mask.clone()
    for row, zero in enumerate((layer.weight == 0) & ~mask):
        useful = mask[row] & (layer.weight[row] != 0)
        if zero.any() and useful.any():
            mask[row, int(zero.int().argmax())], mask[row, int(useful.int().argmax())] = True, False
    return mask
"""
)


def test_a_refine_may_keep_what_is_already_zero_and_the_layer_is_sparser(holed_bench, sandbox):
    row = measure(holed_bench, Candidate("mine", WASTES, sandbox), RECIPE, "search")
    assert row.zeros > round(0.5 * holed_bench.target.weights)
    holed_bench.target.verify()


@pytest.mark.parametrize("update", ["obs", "admm", "alps"])
def test_an_update_under_a_pattern_may_fill_what_was_zero(holed_bench, update):
    row = measure(holed_bench, Published.named("wanda"), Recipe(0.5, update=update, pattern="2:4"), "search")
    assert row.zeros >= holed_bench.target.weights // 2


def test_a_candidates_update_under_a_pattern_may_fill_what_was_zero(holed_bench, sandbox):
    fills = WANDA + "def update(layer, mask):\n    return (layer.weight + 0.01) * mask\n"
    row = measure(holed_bench, Candidate("mine", fills, sandbox), Recipe(0.5, pattern="2:4"), "search")
    assert row.zeros >= holed_bench.target.weights // 2


@pytest.mark.parametrize("factor", ["1e20", "1e30"])
def test_an_update_whose_error_is_not_finite_fails_as_the_candidate(measured, factor):
    huge = WANDA + (
        f"def update(layer, mask):\n    return layer.weight * mask * ({factor} if layer.role == 'q' else 1.0)\n"
    )
    with pytest.raises(CandidateFailure, match="is not finite") as caught:
        measured(huge)
    assert caught.value.reason == "not-finite"
