"""OWL, DLP, AlphaPruning, ATP, LSA: formulas by hand, and what every allocation must hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.pruning.allocation.alphapruning import alphapruning
from autoprune.pruning.allocation.atp import atp, atp_searched, steepest
from autoprune.pruning.allocation.dlp import dlp
from autoprune.pruning.allocation.lsa import lsa, published_alpha
from autoprune.pruning.allocation.owl import owl
from autoprune.pruning.allocation.signals import SIGNALS, hill_exponent
from autoprune.pruning.allocation.table import ALLOCATIONS, made

KNOWN = st.fixed_dictionaries(
    {
        "size": st.integers(1, 10**7),
        "skewness": st.floats(-2, 50),
        "outlier_share": st.floats(0, 1),
        "mean_score": st.floats(0, 100),
        "alpha": st.floats(1, 200),
        "greedy_error": st.floats(0, 100),
    }
)
UNITS = st.lists(KNOWN, min_size=1, max_size=20).map(
    lambda units: [{**unit, "depth": i / max(len(units) - 1, 1)} for i, unit in enumerate(units)]
)
FROM_UNITS = sorted(name for name, spec in ALLOCATIONS.items() if spec.stage == "statistics")


def equal_units(**signals: list[float]) -> list[dict[str, float]]:
    count = len(next(iter(signals.values())))
    return [{"size": 100, **{name: values[i] for name, values in signals.items()}} for i in range(count)]


@pytest.mark.parametrize("name", FROM_UNITS)
@given(units=UNITS, sparsity=st.floats(0, 0.99))
def test_every_allocation_holds_the_budget(name, units, sparsity):
    densities = made(name).densities(units, sparsity)
    weights = sum(unit["size"] for unit in units)
    held = math.fsum(unit["size"] * density for unit, density in zip(units, densities, strict=True))
    assert held == pytest.approx((1 - sparsity) * weights, rel=1e-9)
    assert all(0 <= density <= 1 for density in densities)


@pytest.mark.parametrize("name", FROM_UNITS)
@given(units=UNITS, sparsity=st.floats(0, 0.99), random=st.randoms(use_true_random=False))
def test_permuted_units_get_permuted_densities(name, units, sparsity, random):
    order = list(range(len(units)))
    random.shuffle(order)
    densities = made(name).densities(units, sparsity)
    permuted = made(name).densities([units[i] for i in order], sparsity)
    assert permuted == pytest.approx([densities[i] for i in order], abs=1e-9)


@pytest.mark.parametrize("name", sorted({*FROM_UNITS} - {"atp"}))
@given(unit=KNOWN, count=st.integers(1, 9), sparsity=st.floats(0, 0.99))
def test_units_that_do_not_differ_are_pruned_alike(name, unit, count, sparsity):
    units = [{**unit, "depth": i / max(count - 1, 1)} for i in range(count)]
    assert made(name).densities(units, sparsity) == pytest.approx([1 - sparsity] * count)


def test_owl_maps_outlier_shares_to_a_width_of_two_lambda():
    densities = owl(equal_units(outlier_share=[0.01, 0.02, 0.06]), 0.7)
    # min-max: 0, 0.2, 1; times 0.16; minus their mean 0.064; plus 0.3.
    assert densities == pytest.approx([0.3 - 0.064, 0.3 + 0.032 - 0.064, 0.3 + 0.16 - 0.064])
    assert owl(equal_units(outlier_share=[0.0, 1.0]), 0.5, lam=0.1) == pytest.approx([0.4, 0.6])


def test_dlp_keeps_more_where_the_mean_score_is_small():
    densities = dlp(equal_units(mean_score=[1.0, 2.0, 5.0]), 0.7)
    # Shares 1/8, 2/8, 5/8 -> worth 1, 0.75, 0 after min-max, times 0.15, minus their mean.
    shift = 0.3 - 0.15 * (1 + 0.75) / 3
    assert densities == pytest.approx([shift + 0.15, shift + 0.1125, shift])


def test_lsa_keeps_more_where_greedy_pruning_leaves_a_small_error():
    densities = lsa(equal_units(greedy_error=[1.0, 2.0, 5.0]), 0.7)
    # Shares 1/8, 2/8, 5/8 -> worth 1, 0.75, 0 after min-max, times 2 alpha, minus their mean; alpha 0.15 at 70 %.
    shift = 0.3 - 0.3 * (1 + 0.75) / 3
    assert densities == pytest.approx([shift + 0.3, shift + 0.225, shift])
    assert lsa(equal_units(greedy_error=[0.0, 1.0]), 0.5, alpha=0.1) == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize(
    ("sparsity", "alpha"),
    [(0.05, 0.06), (0.1, 0.06), (0.3, 0.04), (0.5, 0.04), (0.6, 0.1), (0.69, 0.1), (0.7, 0.15), (0.95, 0.12)],
)
def test_the_constant_of_lsa_is_that_of_the_authors_code(sparsity, alpha):
    assert published_alpha(sparsity) == alpha


def test_alphapruning_is_linear_in_the_exponent_with_an_exact_mean():
    units = equal_units(alpha=[2.0, 3.0, 6.0])
    slopes = [0.7, 0.7 + 0.6 / 4, 1.3]
    mean = sum(slopes) / 3
    assert alphapruning(units, 0.6) == pytest.approx([1 - 0.6 * slope / mean for slope in slopes])


def test_hill_exponent_recovers_a_power_law_and_matches_its_formula():
    size = 400
    # Quantiles of a Pareto law with density exponent 3 as eigenvalues.
    eigenvalues = torch.tensor([(1 - (i + 0.5) / size) ** (-1 / 2) for i in range(size)], dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    weight = basis * eigenvalues.sqrt()
    assert hill_exponent(weight) == pytest.approx(3.0, abs=0.1)
    falling = sorted(torch.linalg.svdvals(weight[:, :60]).square().tolist(), reverse=True)
    by_hand = 1 + 30 / sum(math.log(value / falling[30]) for value in falling[:30])
    assert hill_exponent(weight[:, :60]) == pytest.approx(by_hand, rel=1e-3)
    assert hill_exponent(7.5 * weight) == pytest.approx(hill_exponent(weight), rel=1e-4)


def test_hill_exponent_of_a_flat_or_empty_spectrum_is_finite():
    for weight in (torch.zeros(8, 8), torch.eye(8), torch.ones(1, 1)):
        assert 1.0 < hill_exponent(weight) < math.inf


def test_atp_rises_linearly_with_depth():
    units = equal_units(depth=[0.0, 0.25, 0.5, 0.75, 1.0])
    expected = [0.6 - 0.05 * 4 / 2 + i * 0.05 for i in range(5)]
    assert atp(units, 0.6, beta=0.05) == pytest.approx([1 - s for s in expected])
    assert steepest(units, 0.6) == pytest.approx(0.2)
    assert atp(units, 0.6, beta=steepest(units, 0.6)) == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
    assert atp(units[:1], 0.6) == pytest.approx([0.4])


def test_atp_takes_the_slope_that_measures_best():
    units = equal_units(depth=[0.0, 0.5, 1.0])
    wanted = atp(units, 0.6, beta=0.1)
    densities, beta = atp_searched(units, 0.6, lambda tried: math.dist(tried, wanted), points=8)
    assert beta == pytest.approx(0.1)
    assert densities == pytest.approx(wanted)


@pytest.mark.parametrize("name", FROM_UNITS)
def test_names_say_what_they_read_beside_the_size(name):
    reads = made(name).reads
    assert set(reads) <= {*SIGNALS, "depth"}
    assert sum(made(name).densities([{"size": 10, **dict.fromkeys(reads, 1.0 + i)} for i in range(3)], 0.6)) > 0
    for each in reads:
        with pytest.raises(KeyError, match=each):
            made(name).densities([{"size": 10}], 0.6)
