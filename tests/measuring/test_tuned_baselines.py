"""Baselines whose allocations are tuned: when, how often, and with which parameters."""

import pytest

from autoprune.evaluation.tuning import Tuned, parameters_of
from autoprune.measuring import tuner as module
from tests.measuring.test_workbench import forbid

TUNE = {"baselines": {"tune": True, "scores": ["wanda"]}}


@pytest.fixture
def tunings(monkeypatch):
    """Every tuning that is made from here on: (score, family, sparsity)."""
    made = []
    real = module.tune

    def tune(bench, score, default, recipe, subject):
        made.append((score, default.family, recipe.sparsity))
        return real(bench, score, default, recipe, subject)

    monkeypatch.setattr(module, "tune", tune)
    return made


def test_a_tuned_baseline_says_so_with_its_parameters_and_is_no_worse_on_the_search_split(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search")
    tuned = Tuned.of(row)
    assert (row.name, parameters_of(row)) == ("wanda+dlp tuned", str(tuned.setting))
    assert "width" in parameters_of(row)
    plain = new_workbench("plain", advanced={"cache": False}).baseline("wanda", "dlp", "search")
    assert row.perplexity <= plain.perplexity
    assert (plain.name, parameters_of(plain)) == ("wanda+dlp", "")
    assert row.zeros == plain.zeros
    assert tunings == [("wanda", "dlp", 0.5)]


def test_nothing_is_tuned_where_there_is_nothing_to_tune_or_nobody_asked(new_workbench, tunings):
    assert new_workbench(**TUNE).baseline("wanda", "uniform", "search").name == "wanda+uniform"
    assert new_workbench("other").baseline("wanda", "dlp", "search").name == "wanda+dlp"
    assert tunings == []


def test_a_tuning_is_made_once_by_a_run_and_once_by_all_runs_with_the_cache(new_workbench, tunings):
    first, second = new_workbench("first", **TUNE), new_workbench("second", **TUNE)
    rows = [first.baseline("wanda", "dlp", split) for split in ("search", "report")]
    forbid(first)
    forbid(second)
    again = [each.baseline("wanda", "dlp", split) for each in (first, second) for split in ("search", "report")]
    assert [row.tuning for row in again] == [rows[0].tuning] * 4
    assert [row.perplexity for row in again] == [row.perplexity for row in rows] * 2
    assert tunings == [("wanda", "dlp", 0.5)]


def test_another_calibration_sample_has_the_parameters_of_the_first_and_another_sparsity_its_own(
    new_workbench, tunings
):
    workbench = new_workbench(**TUNE)
    for place in (
        workbench,
        workbench.calibrated(1),
        workbench.with_sparsity(0.7),
        workbench.calibrated(1).with_sparsity(0.7),
    ):
        assert place.baseline("wanda", "atp", "report").tuning["family"] == "atp"
    assert tunings == [("wanda", "atp", 0.5), ("wanda", "atp", 0.7)]
    same = workbench.calibrated(1).baseline("wanda", "atp", "report")
    assert same.tuning["parameters"] == workbench.baseline("wanda", "atp", "search").tuning["parameters"]
    assert same.perplexity != workbench.baseline("wanda", "atp", "report").perplexity


def test_elsewhere_the_parameters_of_the_search_are_kept_if_they_are_not_to_be_tuned_anew(
    new_workbench, tiny_model, tunings
):
    workbench = new_workbench(**TUNE, confirmation={"tune_elsewhere": False})
    there = workbench.with_model(str(tiny_model))
    here = workbench.baseline("wanda", "atp", "search")
    places = (workbench, workbench.calibrated(1), there, there.calibrated(1))
    other = [place.with_sparsity(0.7).baseline("wanda", "atp", "report") for place in places]
    assert {row.name for row in other} == {"wanda+atp tuned in the search"}
    assert {parameters_of(row) for row in other} == {parameters_of(here)}
    assert [row.sparsity for row in other] == [pytest.approx(0.7, abs=1e-4)] * 4
    assert workbench.with_sparsity(0.5).baseline("wanda", "atp", "report").subject == here.subject
    assert tunings == [("wanda", "atp", 0.5)]
    assert {row.subject for row in workbench.archive.measurements("search")} == {
        "baseline:wanda+uniform",
        here.subject,
    }


def test_a_score_far_behind_keeps_the_default_and_says_that_it_is_untuned(new_workbench, tunings, monkeypatch):
    monkeypatch.setattr(module, "FAR_BEHIND", 1.0)
    workbench = new_workbench(baselines={"tune": True})
    perplexity = {score: workbench.baseline(score, "uniform", "search").perplexity for score in ("magnitude", "wanda")}
    best, worst = sorted(perplexity, key=perplexity.__getitem__)
    row = workbench.baseline(worst, "dlp", "search")
    assert (row.name, parameters_of(row)) == (f"{worst}+dlp", "untuned")
    assert workbench.baseline(best, "dlp", "search").name == f"{best}+dlp tuned"
    assert [score for score, _, _ in tunings] == [best]


def test_a_refined_allocation_is_tuned_from_where_it_was_tuned_without(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("wanda", "dlp", "search", "swaps")
    assert (row.name, "width" in parameters_of(row)) == ("wanda+swaps+dlp tuned", True)
    assert tunings == [("wanda", "dlp", 0.5)]
    assert row.perplexity <= new_workbench("plain").baseline("wanda", "dlp", "search", "swaps").perplexity
    report = workbench.baseline("wanda", "dlp", "report", "swaps")
    other = workbench.calibrated(1).baseline("wanda", "dlp", "report", "swaps")
    assert parameters_of(report) == parameters_of(other) == parameters_of(row)
    assert report.perplexity != other.perplexity
    assert tunings == [("wanda", "dlp", 0.5)]


def test_an_updated_baseline_is_tuned_with_its_update_and_keeps_the_setting_elsewhere(new_workbench, tunings):
    workbench = new_workbench(**TUNE)
    row = workbench.baseline("sparsegpt", "atp", "search", update="obs")
    assert (row.name, row.league) == ("sparsegpt+obs+atp tuned", "update")
    assert row.perplexity <= new_workbench("plain").baseline("sparsegpt", "atp", "search", update="obs").perplexity
    report = workbench.calibrated(1).baseline("sparsegpt", "atp", "report", update="obs")
    assert (report.tuning, report.league) == (row.tuning, "update")
    assert tunings == [("wanda", "atp", 0.5)]  # where the search for its setting starts


def test_an_expensive_update_has_the_setting_of_a_cheaper_one(new_workbench):
    workbench = new_workbench(**TUNE)
    admm = workbench.baseline("wanda", "atp", "search", update="admm-own")
    alps = workbench.baseline("wanda", "atp", "search", update="alps-own")
    assert alps.tuning == admm.tuning
    assert alps.window_losses != admm.window_losses
