"""Which baselines a search has."""

import pytest

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.recipe import Recipe
from autoprune.measuring.baselines import Baseline, baselines, most_updated, refined_scores
from autoprune.measuring.tuner import Tuner


def names(workbench):
    return [each.measured(workbench, "search").name for each in baselines(workbench)]


def test_by_default_wanda_and_the_best_score_are_refined_after_all_others(new_workbench):
    workbench = new_workbench()
    best = min(("magnitude", "wanda"), key=workbench.tuner.uniform)
    plain = [f"{score}+{allocation}" for score in ("magnitude", "wanda") for allocation in ("uniform", "sdsa")]
    refined = [f"{score}+swaps+{each}" for score in refined_scores(workbench) for each in ("uniform", "sdsa")]
    assert names(workbench) == plain + refined
    assert set(refined_scores(workbench)) == {best, "wanda"}


def test_a_score_that_is_neither_wanda_nor_the_best_is_not_refined(new_workbench, monkeypatch):
    workbench = new_workbench(baselines={"scores": ["magnitude", "wanda", "ria"]})
    for best, refined in (("ria", ["wanda", "ria"]), ("wanda", ["wanda"])):
        monkeypatch.setattr(Tuner, "uniform", lambda tuner, score, best=best: 2.0 if score == best else 3.0)
        assert refined_scores(workbench) == refined


def test_what_is_refined_follows_the_settings(new_workbench, monkeypatch):
    none = new_workbench("none", baselines={"refinements": ["none"], "scores": ["wanda"]})
    assert names(none) == ["wanda+uniform", "wanda+sdsa"]
    every = new_workbench("every", baselines={"refinements": ["swaps"], "allocations": ["uniform"]})
    assert list(baselines(every)) == [Baseline(score, "uniform", "swaps") for score in ("magnitude", "wanda")]
    alone = new_workbench("alone", baselines={"scores": ["magnitude"], "allocations": ["uniform"]})
    monkeypatch.delattr(Tuner, "uniform")  # a single score is the best one, without a measurement
    assert refined_scores(alone) == ["magnitude"]


FEW = {"scores": ["wanda"], "allocations": ["uniform"]}


def test_the_league_with_updates_has_sparsegpt_and_updates_of_refined_masks(new_workbench):
    workbench = new_workbench(search={"league": "update"}, baselines={**FEW, "refinements": ["none"]})
    assert names(workbench) == ["wanda+uniform", "sparsegpt+obs+uniform", "wanda+obs+uniform"]
    leagues = [each.measured(workbench, "search").league for each in baselines(workbench)]
    assert leagues == ["mask", "update", "update"]
    refined = new_workbench("refined", search={"league": "update"}, baselines=FEW)
    expected = [("none", "none"), ("swaps", "none"), ("none", "obs"), ("swaps", "obs")]
    assert [(each.refinement, each.update) for each in baselines(refined)] == expected


def test_every_update_has_its_own_baselines_and_none_is_there_twice(new_workbench):
    workbench = new_workbench(search={"league": "update"}, baselines={**FEW, "updates": "all"})
    updated = [each for each in baselines(workbench) if each.update != "none"]
    assert {each.update for each in updated} == {"obs", "admm", "admm-own", "alps", "alps-own"}
    assert len(set(updated)) == len(updated) == most_updated(workbench.config)
    scores = {"scores": ["magnitude", "wanda", "ria"], "allocations": ["uniform"], "refinements": ["swaps"]}
    refined = new_workbench("refined", search={"league": "update"}, baselines=scores)
    assert sum(each.update != "none" for each in baselines(refined)) == most_updated(refined.config) == 4


def test_updates_have_dense_statistics_on_the_search_split_and_sequential_ones_on_the_report_split(new_workbench):
    workbench = new_workbench(search={"league": "update"}, baselines=FEW)
    bench, updated = workbench.bench, Baseline("wanda", "uniform", "swaps", "obs")
    for split, statistics in (("search", "dense"), ("report", "sequential")):
        recipe = Recipe(0.5, refinement="swaps", update="obs", statistics=statistics)
        expected = measure(bench, Published.named("wanda"), recipe, split)
        assert updated.measured(workbench, split).window_losses == expected.window_losses


OBS = """from autoprune import kit


def score(layer):
    return layer.weight.abs() * layer.input_norm


def update(layer, mask):
    return kit.obs(layer.weight, mask, layer.hessian)


def allocate(units, sparsity):
    return [1.0 - sparsity] * len(units)
"""


def test_a_candidate_with_an_update_has_the_statistics_of_the_updated_baselines(new_workbench):
    workbench = new_workbench(search={"league": "update"}, baselines={**FEW, "refinements": ["none"]})
    name, updated = workbench.run.save_source(OBS), Baseline("wanda", "uniform", "none", "obs")
    for split in ("search", "report"):
        candidate = workbench.candidate(name, split).perplexity
        assert candidate == pytest.approx(updated.measured(workbench, split).perplexity, rel=1e-4)
    dense = measure(workbench.bench, Published.named("wanda"), Recipe(0.5, update="obs"), "report").perplexity
    assert workbench.candidate(name, "report").perplexity != pytest.approx(dense, rel=1e-4)
