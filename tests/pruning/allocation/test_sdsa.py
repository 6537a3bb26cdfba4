import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.sdsa import SDSA

UNITS = st.lists(st.tuples(st.floats(-5, 50), st.integers(1, 10**7)), min_size=1, max_size=30)
SPARSITIES = st.floats(0, 0.99)
CONSTANTS = st.builds(
    SDSA, kappa=st.floats(0, 1), tau=st.floats(0.01, 100), delta=st.floats(0, 1), compress=st.booleans()
)


@given(CONSTANTS, UNITS, SPARSITIES)
def test_the_budget_is_exact_for_unequal_units(sdsa, units, sparsity):
    skews, sizes = zip(*units, strict=True)
    densities = sdsa.densities(skews, sizes, sparsity)
    held = math.fsum(n * d for n, d in zip(sizes, densities, strict=True))
    assert held == pytest.approx((1 - sparsity) * sum(sizes), rel=1e-9)
    assert all(0 <= d <= 1 and abs(d - (1 - sparsity)) <= sdsa.delta + 1e-12 for d in densities)


@given(CONSTANTS, UNITS, SPARSITIES)
def test_more_skew_never_means_less_density(sdsa, units, sparsity):
    units = sorted(units)
    skews, sizes = zip(*units, strict=True)
    densities = sdsa.densities(skews, sizes, sparsity)
    assert all(a <= b for a, b in pairwise(densities))


@given(CONSTANTS, UNITS, SPARSITIES, st.randoms(use_true_random=False))
def test_permuted_units_get_permuted_densities(sdsa, units, sparsity, random):
    order = list(range(len(units)))
    random.shuffle(order)
    skews, sizes = zip(*units, strict=True)
    densities = sdsa.densities(skews, sizes, sparsity)
    permuted = sdsa.densities([skews[i] for i in order], [sizes[i] for i in order], sparsity)
    assert permuted == pytest.approx([densities[i] for i in order], abs=1e-12)


@given(UNITS, SPARSITIES, st.floats(-5, 50))
def test_equal_skew_no_reweighting_and_infinite_temperature_are_uniform(units, sparsity, same):
    skews, sizes = zip(*units, strict=True)
    level = [1 - sparsity] * len(units)
    assert SDSA().densities([same] * len(sizes), sizes, sparsity) == pytest.approx(level)
    assert SDSA(kappa=0.0).densities(skews, sizes, sparsity) == pytest.approx(level)
    assert SDSA(tau=1e12).densities(skews, sizes, sparsity) == pytest.approx(level)


def test_the_formula_on_two_units_by_hand():
    # Equal sizes: z = (-1, 1), so r = 2 e^(+-1) / (e + 1/e) and d = 0.4 (0.5 + 0.5 r).
    share = 2 * math.e / (math.e + 1 / math.e)
    expected = [0.4 * (0.5 + 0.5 * (2 - share)), 0.4 * (0.5 + 0.5 * share)]
    for constants in (SDSA(delta=0.5), SDSA(delta=0.5, compress=False)):
        assert constants.densities([1.0, 3.0], [100, 100], 0.6) == pytest.approx(expected)


def test_it_matters_whether_skewness_is_compressed():
    skews, sizes = [0.9, 1.1, 6.0], [10, 10, 10]
    assert SDSA().densities(skews, sizes, 0.6) != SDSA(compress=False).densities(skews, sizes, 0.6)


def test_limits_on_sparsity_are_kept_or_refused():
    limited = SDSA(delta=1.0, kappa=1.0, largest=0.7)
    assert max(1 - d for d in limited.densities([0, 1, 5], [10, 10, 10], 0.6)) <= 0.7 + 1e-12
    with pytest.raises(UsageError, match="widen delta"):
        limited.densities([0, 1, 5], [10, 10, 10], 0.8)


@pytest.mark.parametrize("wrong", [{"kappa": 1.5}, {"tau": 0.0}, {"delta": -0.1}])
def test_constants_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match="SDSA needs"):
        SDSA(**wrong)


def test_a_skewness_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        SDSA().densities([math.nan], [10], 0.5)
