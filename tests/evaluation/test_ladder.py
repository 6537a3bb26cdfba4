"""The rungs on the bench: who is stopped, with what is known of him then, and the same again from what is known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import CandidateFailure
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.racing import Race, order
from autoprune.models.identity import checksum
from autoprune.runs.measurement import Measurement
from tests.evaluation.given_scores import measure_random

DATA = {"seqlen": 48, "calibration_samples": 4, "search_windows": 8, "report_windows": 3}


@pytest.fixture
def bench(open_tiny_bench):
    return open_tiny_bench(data=DATA)


def measure(bench, ladder, seed=0):
    return measure_random(bench, seed, ladder)


def race(losses, gap=0.0):
    return Race.against("rival", [loss - gap for loss in losses], 0.05)


@pytest.fixture
def full(bench):
    return measure(bench, Ladder())


def test_a_race_that_is_not_lost_gives_what_is_measured_without_one(bench, full):
    raced = measure(bench, Ladder(race=race(full.window_losses)))
    assert raced.window_losses == full.window_losses
    assert (raced.full, raced.signature) == (True, full.signature)


def test_windows_are_measured_in_the_order_of_the_race_and_recorded_in_that_of_the_text(bench, full):
    seen = []
    bench.losses("search", looks=(4, 8), check=lambda losses: seen.append(list(losses)))
    whole = dense(bench, "search").window_losses
    assert seen[1] == [whole[place] for place in order(8)]
    assert seen[0] == seen[1][:4]


def test_a_candidate_that_loses_stops_after_the_first_look_with_what_was_measured(bench, full):
    with pytest.raises(StoppedEarly) as caught:
        measure(bench, Ladder(race=race(full.window_losses, gap=1.0)))
    stopped = caught.value
    first = [full.window_losses[place] for place in order(8)[:4]]
    assert stopped.partial.window_losses == first
    assert not stopped.partial.full
    assert stopped.partial.perplexity == pytest.approx(math.exp(sum(first) / 4))
    assert stopped.estimate == pytest.approx(full.perplexity)
    assert (stopped.stage, stopped.reason) == ("measure", "raced-out")
    assert "raced out after 4 of 8 windows, partial perplexity" in stopped.message
    assert set(stopped.partial.seconds) == {"score", "mask", "eval"}
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_a_layer_error_beyond_the_limit_is_never_measured(bench, full):
    bench.losses = None  # measuring would fail
    with pytest.raises(StoppedEarly, match=r"after \d+ of \d+ sampled layers the weighted") as caught:
        measure(bench, Ladder(most_error=0.9 * full.reconstruction))
    assert (caught.value.stage, caught.value.reason) == ("check", "layer-error")
    assert caught.value.partial.window_losses == []
    assert caught.value.estimate is None


def test_a_layer_error_below_the_limit_is_let_through(bench, full):
    assert measure(bench, Ladder(most_error=1.1 * full.reconstruction)).full


def test_a_perplexity_that_is_not_finite_is_a_failure_at_the_first_look(bench, full):
    with torch.no_grad():
        bench.target.model.lm_head.weight.fill_(math.nan)
    with pytest.raises(CandidateFailure) as caught:
        measure(bench, Ladder(race=race(full.window_losses)))
    assert (caught.value.stage, caught.value.reason) == ("measure", "not-finite")


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_a_replay_of_a_full_measurement_ends_as_the_measurement_would(bench, full, gap):
    ladder = Ladder(race=race(full.window_losses, gap))
    if gap == 0.0:
        assert ladder.replay(full).window_losses == full.window_losses
        assert ladder.replay(full).seconds == {}
        return
    with pytest.raises(StoppedEarly) as measured:
        measure(bench, ladder)
    with pytest.raises(StoppedEarly) as replayed:
        ladder.replay(full)
    assert replayed.value.message == measured.value.message
    assert replayed.value.partial.window_losses == measured.value.partial.window_losses


def test_a_replay_of_a_stopped_one_says_when_more_must_be_measured(full):
    partial = full.with_losses([full.window_losses[place] for place in order(8)[:4]])
    assert Ladder().replay(partial) is None
    assert Ladder(race=race(full.window_losses)).replay(partial) is None
    with pytest.raises(StoppedEarly):
        Ladder(race=race(full.window_losses, gap=1.0)).replay(partial)


def test_a_replay_refuses_masks_as_the_measurement_would(full):
    def refuse(signature):
        raise CandidateFailure("check", "duplicate", "seen before")

    with pytest.raises(CandidateFailure, match="seen before"):
        Ladder(accept=refuse).replay(full)


def test_a_layer_error_that_is_enough_by_itself_stops_before_the_next_layer(bench, full):
    first = full.layer_errors[0]
    ladder = Ladder(most_error=0.5 * first / sum(full.reference_errors))
    with pytest.raises(StoppedEarly, match=rf"after 1 of {full.sampled_layers} sampled layers") as caught:
        measure(bench, ladder)
    assert caught.value.partial.layer_errors == [first]
    for known in (full, caught.value.partial):
        with pytest.raises(StoppedEarly) as replayed:
            ladder.replay(known)
        assert replayed.value.message == caught.value.message
    assert Ladder(most_error=1e9).replay(caught.value.partial) is None  # nobody knows: to be measured


@given(errors=st.lists(st.floats(0, 2), min_size=1, max_size=40), most=st.floats(0.01, 2), known=st.integers(1, 40))
def test_only_those_are_stopped_whose_whole_error_would_be_too_large(errors, most, known):
    reference = [0.5] * len(errors)
    known_so_far = {"layer_errors": errors, "reference_errors": reference, "sampled_layers": len(errors), "windows": 4}
    whole = Measurement(subject="a", split="search", perplexity=9.0, **known_so_far)
    beyond = whole.reconstruction > most * (1 + 1e-9)
    within = whole.reconstruction < most * (1 - 1e-9)
    for measurement in (whole, whole.model_copy(update={"layer_errors": errors[:known]})):
        try:
            Ladder(most_error=most).check_error(measurement)
            assert not (beyond and measurement is whole)
        except StoppedEarly:
            assert not within
