"""Experiments on the tiny model: every recipe, against masks and losses made by hand."""

import math
from dataclasses import replace

import pytest
import torch

from autoprune.config import Config
from autoprune.config_values import UPDATES
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.compare import Row, compare, run, spread
from autoprune.evaluation.evaluator import prune
from autoprune.evaluation.prune import Method
from autoprune.evaluation.recipe import Recipe
from autoprune.models.identity import checksum
from autoprune.models.target import Target
from autoprune.pruning.scores import Score
from tests.conftest import DATA
from tests.evaluation.given_scores import baseline

SENSITIVE = ("output_sensitivity",)
CONTRACT = """algorithm allocation update pattern sparsity_target sparsity_actual zeros weights perplexity seqlen
windows seconds_statistics seconds_score seconds_mask seconds_eval statistics seed repeats bos refinement league
found completions"""


def loss_by_transformers(target: Target, windows: torch.Tensor) -> float:
    with torch.inference_mode():
        return sum(float(target.model(each[None], labels=each[None]).loss) for each in windows) / len(windows)


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
@pytest.mark.parametrize("update", ["none", "obs"])
@pytest.mark.parametrize("allocation", ["uniform", "sdsa", "owl", "global"])
def test_every_recipe_is_measured_at_the_exact_sparsity_and_undone(bench: Bench, allocation, update, statistics):
    before = checksum(bench.target.model)
    recipe = Recipe(0.55, allocation, update, statistics=statistics)
    row = run(bench, Published.named("wanda"), recipe, "search")
    assert list(vars(row)) == CONTRACT.split()
    assert row.zeros == round(0.55 * bench.target.weights)
    assert (row.allocation, row.update, row.statistics) == (allocation, update, statistics)
    assert (row.seqlen, row.windows) == (DATA["seqlen"], DATA["search_windows"])
    assert checksum(bench.target.model) == before


@pytest.mark.parametrize("update", ["none", "obs"])
def test_perplexity_is_that_of_the_weights_that_were_applied(bench: Bench, update):
    recipe = Recipe(0.5, update=update)
    row = run(bench, Published.named("ria"), recipe, "search")
    with bench.target.edited() as edits:
        prune(bench, Published.named("ria"), recipe, edits)
        expected = loss_by_transformers(bench.target, bench.windows("search").tokens)
    assert row.perplexity == pytest.approx(math.exp(expected), rel=1e-4)


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
def test_an_output_sensitivity_is_that_of_the_dense_model_everywhere(bench: Bench, statistics):
    dense = {layer.name: bench.readable(SENSITIVE).view(layer.name, 0.5).output_sensitivity for layer in bench.layers}
    read = {}

    def score(layer):
        read[layer.name] = layer.output_sensitivity
        return layer.weight.abs() * layer.output_sensitivity[:, None].sqrt()

    algorithm = Published(Score("by_rows", score, "matrix", SENSITIVE))
    row = run(bench, algorithm, Recipe(0.5, statistics=statistics), "search")
    assert row.zeros == bench.target.weights // 2
    assert all(torch.equal(read[name], tensor) for name, tensor in dense.items())


def test_dense_statistics_without_update_equal_the_search_bench(bench: Bench):
    row = run(bench, Published.named("wanda"), Recipe(0.6, "sdsa"), "search")
    assert row.perplexity == pytest.approx(baseline(bench, "wanda", "sdsa", 0.6, "search").perplexity, rel=1e-6)


def test_a_walk_behind_dense_blocks_makes_the_masks_of_one_pass(bench: Bench):
    """With OBS the masks still come from the dense statistics: the same zeros as without."""
    zeros = {}
    for update in ("none", "obs"):
        with bench.target.edited() as edits:
            prune(bench, Published.named("wanda"), Recipe(0.5, update=update), edits)
            zeros[update] = {layer.name: bench.target.live_weight(layer.name) == 0 for layer in bench.layers}
    assert all(torch.equal(mask, zeros["obs"][name]) for name, mask in zeros["none"].items())


@pytest.mark.parametrize(("algorithm", "update"), [("wanda", "none"), ("magnitude", "obs"), ("sparsegpt", "obs")])
@pytest.mark.parametrize("statistics", ["dense", "sequential"])
def test_patterns_fix_the_sparsity(bench: Bench, algorithm, update, statistics):
    row = run(bench, Published.named(algorithm), Recipe(0.5, "uniform", update, "2:4", statistics), "search")
    assert row.zeros == bench.target.weights // 2


@pytest.mark.parametrize("update", ["none", "obs"])
def test_a_pattern_keeps_the_zeros_that_were_there(holed_bench: Bench, update):
    """A group of four that was all zero stays so, beyond its two."""
    row = run(holed_bench, Published.named("wanda"), Recipe(0.5, "uniform", update, "2:4"), "search")
    rows = holed_bench.target.live_weight("model.layers.1.mlp.up_proj").shape[0]
    assert row.zeros == holed_bench.target.weights // 2 + 2 * rows


@pytest.mark.parametrize("update", ["none", "obs"])
@pytest.mark.parametrize("statistics", ["dense", "sequential"])
@pytest.mark.parametrize("pattern", ["none", "2:4"])
def test_a_refinement_goes_with_every_update_pattern_and_kind_of_statistics(bench: Bench, update, statistics, pattern):
    plain, refined = (
        run(
            bench,
            Published.named("wanda"),
            Recipe(0.5, "uniform", update, pattern, statistics, refinement=each),
            "search",
        )
        for each in ("none", "swaps")
    )
    assert plain.zeros == refined.zeros == bench.target.weights // 2
    assert (plain.refinement, refined.refinement) == ("none", "swaps")
    assert plain.perplexity != refined.perplexity


def test_a_refined_experiment_equals_the_refined_baseline_of_a_search(bench: Bench):
    row = run(bench, Published.named("wanda"), Recipe(0.6, "sdsa", refinement="swaps"), "search")
    searched = baseline(bench, "wanda", "sdsa", 0.6, "search", refinement="swaps")
    assert row.perplexity == pytest.approx(searched.perplexity, rel=1e-6)


def test_sparsegpt_itself_is_not_refined(bench: Bench):
    with pytest.raises(UsageError, match="the refinement swaps does not fit it"):
        run(bench, Published.named("sparsegpt"), Recipe(0.5, update="obs", refinement="swaps"), "search")


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
@pytest.mark.parametrize("update", [name for name in UPDATES if name != "none"])
def test_every_update_keeps_the_zeros_of_wandas_masks_or_of_its_own(bench: Bench, update, statistics):
    wanda = Published.named("wanda")
    plain = run(bench, wanda, Recipe(0.6, statistics=statistics), "search")
    for pattern in ("none", "2:4"):
        updated = run(bench, wanda, Recipe(0.6, "uniform", update, pattern, statistics), "search")
        assert updated.zeros == (round(0.6 * bench.target.weights) if pattern == "none" else bench.target.weights // 2)
        assert updated.perplexity != plain.perplexity


@pytest.mark.parametrize("update", ["admm-own", "alps-own"])
def test_an_update_with_masks_of_its_own_goes_with_the_score_of_its_paper_alone(bench: Bench, update):
    with pytest.raises(UsageError, match="chooses its own masks; it needs the algorithm wanda, not magnitude"):
        run(bench, Published.named("magnitude"), Recipe(0.5, update=update), "search")
    with pytest.raises(UsageError, match="the refinement swaps does not fit it"):
        run(bench, Published.named("wanda"), Recipe(0.5, update=update, refinement="swaps"), "search")


@pytest.mark.parametrize("pattern", ["none", "2:4"])
@pytest.mark.parametrize("statistics", ["dense", "sequential"])
def test_dsnot_refines_without_a_hessian(bench: Bench, statistics, pattern):
    assert not Method(refinement="dsnot").reads_hessian
    recipe = Recipe(0.5, "uniform", "none", pattern, statistics, refinement="dsnot")
    refined = run(bench, Published.named("wanda"), recipe, "search")
    plain = run(bench, Published.named("wanda"), replace(recipe, refinement="none"), "search")
    assert refined.zeros == plain.zeros == bench.target.weights // 2
    assert refined.perplexity != plain.perplexity


def test_swaps_without_a_limit_of_rounds_are_a_recipe(bench: Bench):
    rows = [
        run(bench, Published.named("wanda"), Recipe(0.5, refinement="swaps", rounds=rounds), "search")
        for rounds in (16, None)
    ]
    assert rows[0].zeros == rows[1].zeros


def test_online_allocation_runs_on_the_walk(bench: Bench):
    recipe = Recipe(0.6, "sdsa-online", statistics="sequential")
    assert run(bench, Published.named("wanda"), recipe, "search").zeros == round(0.6 * bench.target.weights)


@pytest.mark.parametrize("unit", ["block", "module", "projection"])
def test_any_unit_may_have_a_sparsity_of_its_own(bench: Bench, unit):
    row = run(bench, Published.named("wanda"), Recipe(0.6, "sdsa", unit=unit), "search")
    assert row.zeros == round(0.6 * bench.target.weights)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(1.2), "sparsity 1.2 is not between 0 and 1"),
        (Recipe(0.5, "magic"), "unknown allocation 'magic'"),
        (Recipe(0.5, "sdsa-online"), "needs --statistics sequential"),
        (Recipe(0.5, "sdsa-online", statistics="sequential", unit="module"), "goes block by block"),
        (Recipe(0.5, "sdsa", pattern="2:4"), "the pattern 2:4 is uniform"),
        (Recipe(0.5, pattern="4:2"), "is not of the form N:M"),
        (Recipe(0.5, pattern="2:3"), "needs in_features divisible by 3"),
        (Recipe(0.5, "own"), "wanda brings no allocation of its own"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused_in_one_line(bench: Bench, recipe, message):
    with pytest.raises(UsageError, match=message) as caught:
        run(bench, Published.named("wanda"), recipe, "search")
    assert "\n" not in str(caught.value)


def test_compare_yields_the_dense_model_and_every_combination(tiny_model, cache):
    config = Config.model_validate({"model": str(tiny_model), "device": "cpu", "dtype": "float32", "data": DATA})
    algorithms = [Published.named("magnitude"), Published.named("wanda")]
    recipes = [Recipe(sparsity, allocation) for sparsity in (0.5, 0.7) for allocation in ("uniform", "sdsa")]
    rows = list(compare(config, algorithms, recipes, 2))
    assert [row.algorithm for row in rows[:3]] == ["dense", "magnitude", "wanda"]
    assert len(rows) == 1 + 2 * 2 * 4
    assert {row.seed for row in rows} == {0, 1}
    first_wanda = next(row for row in rows if row.algorithm == "wanda")
    assert rows[0].seconds_statistics == 0.0
    assert sum(row.seconds_statistics > 0.0 for row in rows) == 2  # once for each calibration sample
    assert first_wanda.perplexity is not None

    joined = spread(rows)
    assert len(joined) == 1 + 2 * 4
    for group in joined[1:]:
        alike = [
            row.perplexity
            for row in rows
            if (row.algorithm, row.allocation, row.sparsity_target)
            == (group.row.algorithm, group.row.allocation, group.row.sparsity_target)
        ]
        assert group.seeds == 2
        assert group.mean == pytest.approx(sum(alike) / 2)
        assert group.deviation == pytest.approx(abs(alike[0] - alike[1]) / math.sqrt(2))
        assert group.deviation == 0.0 if group.row.algorithm == "magnitude" else group.deviation > 0.0


def test_a_perplexity_that_is_not_finite_has_no_spread():
    template = Row("a", "u", "none", "none", 0.5, 0.5, 1, 2, 9.0, 8, 1, 0.0, 0.0, 0.0, 0.0, "dense", 0)
    broken = Row(**{**vars(template), "perplexity": None, "seed": 1})
    (joined,) = spread([template, broken])
    assert (joined.mean, joined.deviation, joined.seeds) == (None, None, 2)


def test_an_experiment_that_fails_costs_its_row_and_not_the_comparison(tiny_model, cache, logged):
    config = Config.model_validate({"model": str(tiny_model), "device": "cpu", "dtype": "float32", "data": DATA})
    recipes = [Recipe(1 / 3, pattern="2:3"), Recipe(0.5)]
    rows = list(compare(config, [Published.named("wanda")], recipes, 1))
    assert [(row.pattern, row.perplexity is None, row.zeros > 0) for row in rows[1:]] == [
        ("2:3", True, False),
        ("none", False, True),
    ]
    assert any("wanda" in line and "divisible by 3" in line for line in logged)


def test_a_recipe_is_refused_before_a_model_is_loaded():
    config = Config.model_validate({"model": "no-such-model"})
    with pytest.raises(UsageError, match="is uniform"):
        next(compare(config, [Published.named("wanda")], [Recipe(0.5, "sdsa", pattern="2:4")], 1))


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
@pytest.mark.parametrize("update", ["none", "obs"])
def test_a_target_on_disk_is_pruned_like_one_in_memory(open_tiny_bench, update, statistics):
    recipe = Recipe(0.5, "sdsa", update, statistics=statistics)
    whole, mapped = open_tiny_bench(), open_tiny_bench(offload="disk")
    one, other = (run(bench, Published.named("wanda"), recipe, "search") for bench in (whole, mapped))
    assert (other.perplexity, other.zeros) == (one.perplexity, one.zeros)
    again = run(mapped, Published.named("wanda"), recipe, "search")
    assert again.perplexity == one.perplexity  # the pristine weights were back
