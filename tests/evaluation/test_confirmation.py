"""Verdicts: right on what is clear, silent on what is not, and wrong no more often than they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.evaluation.confirmation import ALPHA, decide, holm, paired

QUICK = 999
LOSS = st.floats(0.5, 12.0)
WINDOWS = st.integers(2, 30)


def draws(seed, windows=24, seeds=3, shift=0.0, noise=0.1):
    """Losses of two algorithms on the same windows: hard and easy ones, then a difference per window, then per seed."""
    random = np.random.default_rng(seed)
    text = random.normal(4.0, 0.5, windows)
    apart = shift + random.normal(0.0, noise, windows)
    candidate = {place: text + apart + random.normal(0.0, noise / 5, windows) for place in range(seeds)}
    return candidate, {place: text + random.normal(0.0, noise / 5, windows) for place in range(seeds)}


def verdict(candidate, baseline):
    return decide([paired(candidate, baseline, QUICK)])[0].verdict


@st.composite
def pairs(draw):
    windows, seeds = draw(WINDOWS), draw(st.integers(1, 3))
    rows = st.lists(LOSS, min_size=windows, max_size=windows)
    return tuple({seed: draw(rows) for seed in range(seeds)} for _ in range(2))


@settings(deadline=None, max_examples=50)
@given(pairs())
def test_identical_losses_show_no_difference(losses):
    same = paired(losses[0], losses[0], QUICK)
    assert (same.difference, same.p) == (0.0, 1.0)
    assert verdict(losses[0], losses[0]) == "no difference shown"


@settings(deadline=None, max_examples=50)
@given(pairs())
def test_the_other_way_round_everything_is_mirrored(losses):
    one, other = paired(*losses, QUICK), paired(*losses[::-1], QUICK)
    assert one.difference == -other.difference
    assert one.p == other.p
    assert (one.low is None) == (other.high is None)
    if one.low is not None and other.high is not None:
        assert one.low == -other.high
    opposite = {"better": "worse", "worse": "better"}
    said = verdict(*losses)
    assert verdict(*losses[::-1]) == opposite.get(said, said)


@settings(deadline=None, max_examples=50)
@given(pairs())
def test_a_single_comparison_is_decided_as_its_interval_says(losses):
    compared = paired(*losses, QUICK)
    if compared.low is not None and compared.high is not None:
        assert compared.low <= compared.difference <= compared.high
        assert (compared.p <= ALPHA) == (not compared.low <= 0.0 <= compared.high)


@pytest.mark.parametrize(("shift", "said"), [(-0.15, "better"), (0.15, "worse")])
def test_a_clear_shift_is_seen(shift, said):
    assert all(verdict(*draws(seed, shift=shift)) == said for seed in range(20))


def test_a_shift_that_is_the_same_everywhere_is_seen_and_two_windows_prove_nothing():
    losses = {0: [4.0] * 24}
    assert verdict({0: [3.5] * 24}, losses) == "better"
    for few in (1, 2, 3):
        compared = paired({0: [3.5] * few}, {0: [4.0] * few}, QUICK)
        assert (compared.low, compared.high) == (None, None)
        assert compared.p > ALPHA


def test_losses_that_are_finite_give_figures_that_are_finite():
    for windows in range(1, 8):
        compared = paired(*draws(windows, windows=windows, shift=-1.0))
        assert all(value is None or math.isfinite(value) for value in (compared.low, compared.high))
        assert 0.0 < compared.p <= 1.0


def test_a_windows_seeds_are_kept_together_so_more_seeds_are_not_more_windows():
    """The same losses under three names of seeds are as much evidence as once."""
    candidate, baseline = draws(1, seeds=1, shift=-0.02)
    often = paired(dict.fromkeys(range(3), candidate[0]), dict.fromkeys(range(3), baseline[0]))
    once = paired(candidate, baseline)
    assert often.p == once.p
    assert often.difference == pytest.approx(once.difference)
    assert (often.windows, often.seeds) == (24, (0, 1, 2))


def test_only_seeds_in_common_are_compared():
    candidate, baseline = draws(2)
    first = {0: baseline[0]}
    assert paired(candidate, first) == paired({0: candidate[0]}, first)
    with pytest.raises(ValueError, match="no calibration seed in common"):
        paired(candidate, {7: baseline[0]})
    with pytest.raises(ValueError, match="different numbers of windows"):
        paired(candidate, {0: baseline[0][:-1]})


def test_the_same_losses_always_give_the_same_verdict():
    assert paired(*draws(3, shift=-0.03)) == paired(*draws(3, shift=-0.03))


@settings(deadline=None)
@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=12), st.data())
def test_holm_keeps_the_order_lies_between_the_raw_and_bonferroni_and_is_monotone(values, data):
    corrected = holm(values)
    for raw, p in zip(values, corrected, strict=True):
        assert raw <= p <= min(1.0, len(values) * raw)
    ranked = [p for _, p in sorted(zip(values, corrected, strict=True))]
    assert ranked == sorted(ranked)
    place = data.draw(st.integers(0, len(values) - 1))
    raised = [value if at != place else min(1.0, value * 2) for at, value in enumerate(values)]
    assert all(after >= before for before, after in zip(corrected, holm(raised), strict=True))


def test_holm_as_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("windows", [12, 24])
def test_one_comparison_without_a_difference_is_called_one_as_often_as_it_says(windows):
    trials = 600
    false = sum(paired(*draws(1000 + seed, windows=windows), QUICK).p <= ALPHA for seed in range(trials))
    spread = math.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert abs(false / trials - ALPHA) <= 3 * spread


def test_of_eight_comparisons_without_a_difference_seldom_any_is_called_one():
    families, false = 200, 0
    for family in range(families):
        compared = [paired(*draws(5000 + 8 * family + place), QUICK) for place in range(8)]
        false += any(each.verdict != "no difference shown" for each in decide(compared))
    assert false / families <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / families)
