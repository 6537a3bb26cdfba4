"""The tool on a real bench and the real local sandbox: races, errors of layers, and what is found in the cache."""

import traceback
from pathlib import Path

import pytest

import autoprune
from autoprune.errors import CandidateFailure
from autoprune.evaluation import bench as module
from autoprune.tools.evaluate import EvaluateCandidate, evaluate_candidate

GOOD = "def score(layer):\n    return layer.weight.abs() + 0.01\n"
BAD = "def score(layer):\n    return 1.0 / (layer.weight.abs() + 0.01)\n"
WORSE = "def score(layer):\n    return 1.0 / (layer.weight.abs() * layer.input_norm.sqrt() + 0.01)\n"
FICKLE = """state = []


def score(layer):
    state.append(1)
    return layer.weight.abs().pow(len(state))
"""


def evaluate(workbench, source, **request):
    return evaluate_candidate(workbench, EvaluateCandidate(candidate=workbench.run.save_source(source), **request))


def forbid(workbench):
    """From here on nothing is scored and nothing is passed through the model."""
    workbench.bench.readable = workbench.bench.losses = None


def stamp(report):
    return report.model_copy(update={"seconds": {}, "cached": False})


@pytest.fixture
def workbench(new_workbench):
    """Where candidates race, and nothing else stops them."""
    return new_workbench(advanced={"layer_error": None})


def test_without_an_elite_everything_is_measured_in_full(workbench):
    assert evaluate(workbench, BAD).status == "measured"


def test_a_candidate_far_worse_than_the_elite_is_stopped_and_leaves_no_measurement(workbench):
    elite = [evaluate(workbench, GOOD).candidate]
    report = evaluate(workbench, BAD, elite=elite, against=elite)
    assert (report.status, report.stage, report.reason) == ("stopped", "measure", "raced-out")
    assert report.perplexity is None
    assert 4 <= report.windows_measured < 10
    assert report.partial_perplexity > workbench.recorded(elite[0], "search").perplexity
    assert report.nearest == elite[0]
    assert f"raced out after {report.windows_measured} of 10 windows" in report.message
    assert elite[0][:8] in report.message
    assert workbench.recorded(report.candidate, "search") is None


def test_the_rival_is_the_worst_of_the_elite(workbench):
    elite = [evaluate(workbench, source).candidate for source in (GOOD, WORSE)]
    assert evaluate(workbench, BAD, elite=elite[:1]).status == "stopped"
    assert evaluate(workbench, BAD, elite=elite).status == "measured"


@pytest.mark.parametrize(("racing", "status"), [(False, "measured"), (True, "stopped")])
def test_racing_can_be_switched_off(new_workbench, racing, status):
    workbench = new_workbench(advanced={"layer_error": None, "racing": racing})
    elite = [evaluate(workbench, GOOD).candidate]
    assert evaluate(workbench, BAD, elite=elite).status == status


def test_a_reconstruction_error_far_above_the_elite_stops_a_candidate_before_it_is_measured(new_workbench):
    workbench = new_workbench(advanced={"racing": False})
    elite = [evaluate(workbench, GOOD).candidate]
    report = evaluate(workbench, BAD, elite=elite)
    assert (report.status, report.reason, report.windows_measured) == ("stopped", "layer-error", 0)
    assert report.partial_perplexity is None
    assert set(report.seconds) == {"score", "mask"}


def test_another_run_finds_everything_in_the_cache_and_says_so(new_workbench):
    first, second = new_workbench("first"), new_workbench("second")
    baselines = [first.baseline("wanda", "sdsa", "search"), first.dense("search")]
    good = evaluate(first, GOOD)
    bad = evaluate(first, BAD, elite=[good.candidate])
    forbid(second)
    found = [second.baseline("wanda", "sdsa", "search"), second.dense("search")]
    assert [row.window_losses for row in found] == [row.window_losses for row in baselines]
    assert all(row.cached and row.seconds == {} for row in found)
    again = evaluate(second, GOOD)
    assert (again.cached, again.seconds, good.cached) == (True, {}, False)
    assert stamp(again) == stamp(good)
    assert stamp(evaluate(second, BAD, elite=[good.candidate])) == stamp(bad)


def test_what_was_measured_without_the_rung_of_reconstruction_is_not_found_with_it(new_workbench):
    first = new_workbench("first", advanced={"layer_error": None})
    second = new_workbench("second", advanced={"racing": False})
    evaluate(first, BAD)
    elite = [evaluate(second, GOOD).candidate]
    assert evaluate(second, BAD, elite=elite).reason == "layer-error"


def test_one_that_the_rung_of_reconstruction_stopped_is_found_again(new_workbench):
    first, second = (new_workbench(name, advanced={"racing": False}) for name in ("first", "second"))
    elite = [evaluate(first, GOOD).candidate]
    stopped = evaluate(first, BAD, elite=elite)
    evaluate(second, GOOD)
    forbid(second)
    again = evaluate(second, BAD, elite=elite)
    assert (again.cached, again.reason, again.windows_measured) == (True, "layer-error", 0)
    assert stamp(again) == stamp(stopped)


def test_a_cache_hit_is_still_refused_as_a_twin(new_workbench):
    first, second = new_workbench("first"), new_workbench("second")
    twin = GOOD.replace("0.01", "0.02")
    evaluate(first, twin)
    against = [evaluate(second, GOOD).candidate]
    forbid(second)
    assert evaluate(second, twin, against=against).status == "duplicate"


def test_the_cache_can_be_switched_off(new_workbench, cache):
    workbench = new_workbench(advanced={"cache": False})
    assert evaluate(workbench, GOOD).status == "measured"
    assert not (cache / "measurements.sqlite").exists()


def test_a_candidate_whose_scores_do_not_come_back_fails_and_is_measured_anew_by_every_run(new_workbench):
    for name in ("first", "second"):
        workbench = new_workbench(name)
        for _ in range(2):  # the second time from the run's archive
            report = evaluate(workbench, FICKLE)
            assert (report.status, report.stage, report.reason) == ("failed", "check", "not-repeatable")
            assert (report.perplexity, report.cached) == (None, False)
            assert (
                "a fresh process gave other scores, masks, weights or densities than those that had" in report.message
            )
        with pytest.raises(CandidateFailure, match="not-repeatable"):
            workbench.candidate(report.candidate, "report")


@pytest.mark.parametrize("change", ["sparsity", "text"])
def test_under_other_settings_nothing_is_found(new_workbench, change):
    first, second = new_workbench("first"), new_workbench("second")
    if change == "sparsity":
        second = second.with_sparsity(0.6)
    split = "search" if change == "sparsity" else "report"
    first.baseline("wanda", "uniform", "search")
    assert not second.baseline("wanda", "uniform", split).cached


def test_few_frames_lie_between_the_tool_and_the_losses_of_windows(workbench, monkeypatch):
    frames = []
    real, package = module.window_losses, Path(autoprune.__file__).parent

    def watched(*words, **named):
        frames.append(sum(package in Path(frame.filename).parents for frame in traceback.extract_stack()))
        return real(*words, **named)

    monkeypatch.setattr(module, "window_losses", watched)
    evaluate(workbench, GOOD)
    assert frames[0] <= 7


UPDATING = GOOD + "\ndef update(layer, mask):\n    return layer.weight * mask\n"


def test_an_update_is_refused_in_a_search_for_masks_and_measured_in_the_other_league(new_workbench):
    refused = evaluate(new_workbench("masks"), UPDATING)
    assert (refused.status, refused.stage, refused.reason) == ("failed", "screen", "contract")
    assert "this search is for masks only (search.league=mask)" in refused.message
    both = new_workbench("both", search={"league": "update"})
    plain, updating = evaluate(both, GOOD), evaluate(both, UPDATING)
    assert (plain.league, updating.league) == (None, "update")
    assert updating.perplexity == pytest.approx(plain.perplexity, rel=1e-6)
    assert both.recorded(updating.candidate, "search").league == "update"
