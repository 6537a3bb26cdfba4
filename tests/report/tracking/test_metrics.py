"""The metrics of a search for a tracker: numbered by candidate, with finite values only, from events alone."""

import math

import pytest

from autoprune.report.tracking.metrics import ALWAYS, SearchMetrics, confirmed_figures
from autoprune.runs.events import Event, read_events
from tests.report.html.made_up import BASELINES, MadeUp

START = "2026-01-02T03:00:{:02}+00:00"


def event(kind, second, **data):
    return Event(key=f"{kind}@{second}", time=START.format(second), kind=kind, data=data)


def ended(slot, second, **data):
    return event("ended", second, slot=slot, generation=1, status="measured" if data else "failed", **data)


@pytest.fixture
def planned():
    slots = [
        {"slot": f"g1.c{number}", "generation": 1, "operator": "explore", "engine": "llm", "parents": []}
        for number in (1, 2, 3)
    ]
    metrics = SearchMetrics()
    for happened in (
        event("run-started", 0, model="m", sparsity=0.5, llm="llm", record={}),
        event("baseline", 1, name="wanda+uniform", perplexity=20.0),
        event("spent", 10, seconds=100.0, candidates=0, tokens=7, usd=0.5, agents={}),
        event("planned", 10, generation=1, slots=slots),
    ):
        assert metrics.take(happened) is None
    return metrics


def test_a_step_is_a_candidate_with_the_best_so_far_and_its_ratio_to_the_best_baseline(planned):
    first = planned.take(ended("g1.c2", 12, perplexity=30.0))
    assert (first.step, first.values["search/perplexity"]) == (1, 30.0)
    assert first.values["search/ratio_to_best_baseline"] == 1.5
    second = planned.take(ended("g1.c1", 13))
    assert "search/perplexity" not in second.values
    assert (second.step, second.values["search/best_perplexity"]) == (2, 30.0)
    third = planned.take(ended("g1.c3", 14, perplexity=10.0))
    assert third.values["search/ratio_to_best_baseline"] == 0.5


def test_seconds_continue_from_the_clock_of_the_run_without_the_pause_before_a_resumption(planned):
    assert planned.take(ended("g1.c1", 12)).values[ALWAYS] == 102.0
    planned.take(event("run-resumed", 40))
    assert planned.take(ended("g1.c2", 43)).values[ALWAYS] == 105.0


def test_tokens_and_usd_are_sums_and_an_unknown_price_is_left_out(planned):
    call = {"agent": "proposer", "model": "m", "tokens_in": 3, "tokens_out": 4}
    planned.take(event("called", 11, **call, usd=0.25))
    values = planned.take(ended("g1.c1", 12)).values
    assert (values["cost/tokens"], values["cost/usd"]) == (14, 0.75)
    planned.take(event("called", 13, **call, usd=None))
    values = planned.take(ended("g1.c2", 14)).values
    assert values["cost/tokens"] == 21
    assert "cost/usd" not in values


def test_infinity_is_left_out(planned):
    values = planned.take(ended("g1.c1", 12, perplexity=math.inf)).values
    assert all(math.isfinite(value) for value in values.values())
    assert "search/perplexity" not in values


def test_a_whole_run_gives_every_candidate_and_the_confirmation_with_its_interval(tmp_path):
    run = MadeUp(tmp_path / "run", 8, blocks=2).run
    metrics = SearchMetrics()
    taken = [step for event in read_events(run.events_file) if (step := metrics.take(event))]
    assert [step.step for step in taken] == list(range(1, 9))
    best = taken[-1].values
    assert best["search/ratio_to_best_baseline"] == best["search/best_perplexity"] / min(BASELINES.values())
    figures = confirmed_figures(metrics.picture)
    assert figures["report/perplexity"] == 54.4
    assert figures["report/best_baseline_perplexity"] == 60.1
    assert figures["report/dense_perplexity"] == 14.98
    low, high = figures["report/change_percent_low"], figures["report/change_percent_high"]
    assert low < figures["report/change_percent"] < high


def test_without_a_finalist_there_are_no_figures(planned):
    assert confirmed_figures(planned.picture) == {}
