import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.gcot.belief import SURE, Contrast, claim_of, paired_error, pooled, read_range

CLAIMS = ("better", "same", "worse")
gains = st.floats(-0.5, 0.5)
tests_of_one = st.lists(st.builds(Contrast, gains, st.none() | st.floats(0.0, 0.1)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("claim", "gain", "error", "verdict"),
    [
        ("better", 0.10, 0.01, "supports"),
        ("better", 0.02, 0.02, None),  # within chance: the forecast is not graded
        ("better", 0.001, 0.001, "refutes"),  # surely no gain that counts
        ("better", -0.10, 0.01, "refutes"),
        ("worse", -0.10, 0.01, "supports"),
        ("worse", 0.10, 0.01, "refutes"),
        ("same", 0.005, 0.01, "supports"),
        ("same", 0.005, 0.05, None),  # no sign of an effect, but no sign of none
        ("same", 0.05, 0.01, "refutes"),
        ("same", 0.05, 0.03, None),
        (None, 0.10, 0.01, None),
    ],
)
def test_a_verdict_needs_an_effect_beyond_chance(claim, gain, error, verdict):
    assert pooled([Contrast(gain, error)]).verdict(claim) == verdict


@given(tests_of_one)
def test_no_tests_support_a_claim_and_its_opposite(tests):
    belief = pooled(tests)
    verdicts = {claim: belief.verdict(claim) for claim in CLAIMS}
    assert [*verdicts.values()].count("supports") <= 1 or verdicts["same"] == "supports"
    assert not (verdicts["better"] == verdicts["worse"] == "supports")


@given(tests_of_one, tests_of_one)
def test_the_order_of_tests_does_not_matter(first, second):
    one, other = pooled([*first, *second]), pooled([*second, *first])
    assert one.effect == pytest.approx(other.effect, abs=1e-12)
    assert one.error == pytest.approx(other.error, rel=1e-9)


@given(gains, st.floats(0.001, 0.1))
def test_another_test_with_the_same_result_makes_the_effect_no_less_certain_than_two_parents_can(gain, error):
    twice = pooled([Contrast(gain, error)] * 2)
    assert twice.effect == pytest.approx(gain)
    assert twice.error < math.hypot(error, 0.02)


def test_an_uncertain_effect_promises_more_than_a_certain_one_of_the_same_size():
    certain, uncertain = pooled([Contrast(0.02, 0.002)]), pooled([Contrast(0.02, 0.03)])
    assert uncertain.promise > certain.promise > 0.02 * 0.9


def test_a_contrast_of_unknown_error_settles_large_effects_only():
    assert pooled([Contrast(0.15)]).verdict("better") == "supports"
    assert pooled([Contrast(0.05)]).verdict("better") is None
    assert pooled([Contrast(-0.15)]).verdict("better") == "refutes"
    measured = pooled([Contrast(-0.04), Contrast(0.04, 0.01)])
    assert measured.effect > 0.02  # an estimate weighs less than a measurement


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("-8 to -3 %", (-8.0, -3.0)),
        ("between −3 % and −8 %", (-8.0, -3.0)),
        ("better, -2.5..-0.5%", (-2.5, -0.5)),
        ("-8–-3 %", (-8.0, -3.0)),
        ("3 to 8 % lower", (-8.0, -3.0)),
        ("between 3 and 8 percent better", (-8.0, -3.0)),
        ("+1 to +4 %", (1.0, 4.0)),
        ("from 36.7 to 34.5 (-6 %)", None),
        ("20 to 30 windows", None),
        ("better", None),
    ],
)
def test_a_predicted_range_is_read_from_words(text, range_):
    assert read_range(text) == range_


def test_a_range_claims_the_side_of_its_middle():
    assert [claim_of(-8, -3), claim_of(-0.5, 0.5), claim_of(1, 9)] == ["better", "same", "worse"]


def test_the_error_of_a_difference_needs_the_same_windows_and_enough_of_them():
    assert paired_error([3.0, 3.1, 3.2, 3.3], [3.0, 3.1, 3.2, 3.3]) == 0.0
    assert paired_error([3.0, 3.1, 3.2], [3.0, 3.1, 3.2]) is None
    assert paired_error([3.0, 3.1, 3.2, 3.3], [3.0, 3.1, 3.2]) is None
    assert paired_error([1.0, 1.2, 1.0, 1.2], [1.0] * 4) == pytest.approx(0.115470 / SURE)
