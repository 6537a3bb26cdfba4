"""Racing: who is stopped, when, and how seldom by mistake."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from autoprune.evaluation.perplexity import windows_per_pass
from autoprune.evaluation.racing import EVERY, FIRST, Race, looks, order, p_worse

WINDOWS = 16
RATE = 0.05
patient = settings(deadline=None)
LOSSES = st.lists(st.floats(0.1, 12.0), min_size=WINDOWS, max_size=WINDOWS)


def raced(rival, mine, rate=RATE):
    return Race("rival", tuple(rival), rate).lost_after(mine)


@patient
@given(st.integers(1, 300))
def test_the_order_holds_every_window_once_and_is_the_same_for_everyone(windows):
    assert sorted(order(windows)) == list(range(windows))
    assert order(windows) == order(windows)


def test_there_is_no_look_before_the_spread_is_known_nor_after_the_last_window():
    assert looks(4) == ()
    assert looks(16) == (4, 8, 12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_look_comes_within_a_batch_of_windows(dtype):
    assert all(count % windows_per_pass(dtype) == 0 for count in (FIRST, EVERY))


@patient
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=20).filter(lambda each: np.std(each) > 1e-6))
def test_of_endlessly_many_windows_the_test_is_the_paired_t_test_of_scipy(differences):
    expected = ttest_1samp(differences, 0.0, alternative="greater").pvalue
    assert p_worse(differences, 10**12) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_variance_of_a_mean_is_that_of_every_sample_without_replacement():
    """Averaged over all samples of four of eight, mean and squared error of the t-test are those of the text."""
    text = np.array([0.3, -0.2, 0.9, 0.1, -0.5, 0.4, 0.0, 0.7])
    samples = [text[list(chosen)] for chosen in combinations(range(8), 4)]
    spread = np.var([sample.mean() for sample in samples])
    assumed = np.mean([sample.var(ddof=1) / 4 * (1 - 4 / 8) for sample in samples])
    assert assumed == pytest.approx(spread)
    sample = samples[0]
    statistic = sample.mean() / math.sqrt(sample.var(ddof=1) / 4 * (1 - 4 / 8))
    assert p_worse(sample.tolist(), 8) == pytest.approx(t.sf(statistic, 3))


@patient
@given(LOSSES, LOSSES)
def test_a_candidate_whose_losses_are_all_as_low_is_never_stopped(rival, other):
    assert raced(rival, [min(pair) for pair in zip(rival, other, strict=True)]) is None


@patient
@given(LOSSES, st.floats(0.01, 5.0))
def test_a_candidate_that_is_worse_by_as_much_everywhere_is_stopped_at_the_first_look(rival, gap):
    rival = [round(loss, 3) for loss in rival]
    assert raced(rival, [loss + gap for loss in rival]) == FIRST


@patient
@given(LOSSES, LOSSES, st.floats(0.001, 0.4))
def test_a_larger_error_rate_never_stops_later(rival, mine, rate):
    strict, lenient = raced(rival, mine, rate / 2), raced(rival, mine, rate)
    assert strict is None or (lenient is not None and lenient <= strict)


@patient
@given(LOSSES, LOSSES)
def test_what_comes_after_a_look_does_not_change_its_judgement(rival, mine):
    stopped = raced(rival, mine)
    if stopped is not None:
        assert raced(rival, mine[:stopped]) == stopped
        assert not any(Race("r", tuple(rival), RATE).lost(mine[:count]) for count in range(stopped))


@patient
@given(LOSSES, LOSSES, st.integers(1, WINDOWS))
def test_the_estimate_is_exact_for_a_constant_gap_and_for_all_windows(rival, mine, count):
    race = Race("rival", tuple(rival), RATE)
    assert race.estimate([loss + 0.5 for loss in rival[:count]]) == pytest.approx(np.mean(rival) + 0.5)
    assert race.estimate(mine) == pytest.approx(np.mean(mine))


def test_losses_as_recorded_are_raced_in_the_order_of_measurement():
    recorded = [float(place) for place in range(8)]
    assert list(Race.against("rival", recorded, RATE).losses) == [float(place) for place in order(8)]


@pytest.mark.parametrize("windows", [6, 16, 64])
def test_a_candidate_that_is_exactly_as_good_is_stopped_no_more_often_than_the_rate(windows):
    """At the boundary of what must not be stopped, over all looks; four standard errors of the simulation allowed."""
    chance, trials = np.random.default_rng(6), 2000
    rival = chance.normal(4.0, 0.5, (trials, windows))
    apart = chance.normal(0.0, 0.1, (trials, windows))
    mine = rival + apart - apart.mean(axis=1, keepdims=True)
    stops = sum(raced(*pair) is not None for pair in zip(rival.tolist(), mine.tolist(), strict=True)) / trials
    assert stops <= RATE + 4 * math.sqrt(RATE * (1 - RATE) / trials)
    assert stops > 0.1 * RATE


@pytest.mark.parametrize(("side", "most"), [(1.0, RATE), (-1.0, 0.2)])
def test_of_texts_with_skewed_differences_the_rate_is_kept_on_one_side_and_said_on_the_other(side, most):
    """Mean zero over all windows; in few of them the candidate is much worse (1), or much better (-1)."""
    chance, trials = np.random.default_rng(7), 2000
    texts = side * chance.exponential(0.1, (trials, WINDOWS))
    texts -= texts.mean(axis=1, keepdims=True)
    stops = sum(raced([4.0] * WINDOWS, (4.0 + text).tolist()) is not None for text in texts)
    assert stops / trials <= most


def test_a_clearly_worse_candidate_is_stopped_at_once_and_a_slightly_worse_one_sometimes():
    chance, trials = np.random.default_rng(8), 500
    for gap, least, most in ((1.0, 0.95, 1.0), (0.03, 0.1, 0.9)):
        early = [raced([4.0] * WINDOWS, (4.0 + chance.normal(gap, 0.08, WINDOWS)).tolist()) for _ in range(trials)]
        stopped = sum(count == FIRST for count in early) if gap == 1.0 else sum(count is not None for count in early)
        assert least <= stopped / trials <= most
