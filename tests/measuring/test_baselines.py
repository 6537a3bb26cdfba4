"""Which baselines a search has."""

from autoprune.measuring.baselines import Baseline, baselines, refined_scores
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


def test_the_league_with_updates_has_updated_baselines_too(new_workbench):
    workbench = new_workbench(
        search={"league": "update"},
        baselines={"refinements": ["none"], "scores": ["wanda"], "allocations": ["uniform"]},
    )
    assert names(workbench) == ["wanda+uniform", "wanda+obs+uniform", "wanda+obs+sdsa"]
    leagues = [each.measured(workbench, "search").league for each in baselines(workbench)]
    assert leagues == ["mask", "update", "update"]
