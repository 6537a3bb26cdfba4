import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import largest_remainder, matrix_zeros, project, total_zeros, unit_zeros

UNITS = st.lists(st.tuples(st.floats(-3, 3), st.integers(1, 10**7)), min_size=1, max_size=40)


@given(UNITS, st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_projection_holds_the_budget_inside_the_box_and_keeps_the_order(units, sparsity, below, above):
    raw, sizes = [list(part) for part in zip(*units, strict=True)]
    density = 1 - sparsity
    lo, hi = density * below, density + (1 - density) * above
    densities = project(raw, sizes, sparsity, lo, hi)
    assert all(lo <= d <= hi for d in densities)
    held = math.fsum(n * d for n, d in zip(sizes, densities, strict=True))
    assert held == pytest.approx(density * sum(sizes), rel=1e-9)
    ranked = sorted(range(len(raw)), key=raw.__getitem__)
    assert all(densities[a] <= densities[b] for a, b in pairwise(ranked))


@given(st.floats(0, 0.99), st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_densities_that_hold_the_budget_already_are_left_alone(sparsity, sizes):
    assert project([1 - sparsity] * len(sizes), sizes, sparsity) == pytest.approx([1 - sparsity] * len(sizes))


@given(
    st.lists(st.lists(st.integers(1, 5000), min_size=1, max_size=7), min_size=1, max_size=12),
    st.floats(0, 0.99),
    st.data(),
)
def test_zeros_over_units_and_matrices_sum_exactly(units, sparsity, data):
    sizes = [sum(matrices) for matrices in units]
    raw = data.draw(st.lists(st.floats(0, 1), min_size=len(units), max_size=len(units)))
    totals = unit_zeros(project(raw, sizes, sparsity), sizes, sparsity)
    zeros = [matrix_zeros(total, matrices) for total, matrices in zip(totals, units, strict=True)]
    assert sum(map(sum, zeros)) == round(sparsity * sum(sizes)) == total_zeros(sparsity, sum(sizes))
    for counts, matrices in zip(zeros, units, strict=True):
        assert all(0 <= count <= n for count, n in zip(counts, matrices, strict=True))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9), st.data())
def test_a_matrix_is_at_most_one_zero_away_from_its_share(sizes, data):
    zeros = data.draw(st.integers(0, sum(sizes)))
    for count, n in zip(matrix_zeros(zeros, sizes), sizes, strict=True):
        assert abs(count - zeros * n / sum(sizes)) < 1


@given(st.lists(st.tuples(st.floats(-5, 50), st.integers(0, 40)), min_size=1, max_size=9), st.data())
def test_whole_numbers_sum_even_when_the_wishes_do_not(entries, data):
    wanted, caps = [list(part) for part in zip(*entries, strict=True)]
    total = data.draw(st.integers(0, sum(caps)))
    counts = largest_remainder(wanted, total, caps)
    assert sum(counts) == total
    assert all(0 <= count <= cap for count, cap in zip(counts, caps, strict=True))


@given(UNITS, st.floats(0, 0.99), st.randoms(use_true_random=False))
def test_projection_keeps_bounds_of_every_unit(units, sparsity, random):
    raw, sizes = [list(part) for part in zip(*units, strict=True)]
    density = 1 - sparsity
    lows = [density * random.random() for _ in sizes]
    highs = [density + sparsity * random.random() for _ in sizes]
    densities = project(raw, sizes, sparsity, lows, highs)
    assert all(low <= d <= high for low, d, high in zip(lows, densities, highs, strict=True))
    assert math.fsum(n * d for n, d in zip(sizes, densities, strict=True)) == pytest.approx(density * sum(sizes))


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=5), min_size=1, max_size=6),
    st.data(),
)
def test_zeros_that_are_there_already_are_kept_and_counted(units, data):
    sizes = [[n for n, _ in unit] for unit in units]
    floors = [[int(n * share) for n, share in unit] for unit in units]
    weights = sum(map(sum, sizes))
    zeros = data.draw(st.integers(sum(map(sum, floors)), weights))
    raw = data.draw(st.lists(st.floats(0, 1), min_size=len(units), max_size=len(units)))
    whole = list(map(sum, sizes))
    totals = unit_zeros(project(raw, whole, zeros / weights), whole, zeros / weights, list(map(sum, floors)))
    counts = [matrix_zeros(*unit) for unit in zip(totals, sizes, floors, strict=True)]
    assert sum(map(sum, counts)) == zeros
    for unit in zip(counts, floors, sizes, strict=True):
        assert all(low <= count <= n for count, low, n in zip(*unit, strict=True))


def test_the_largest_remainders_are_rounded_up():
    assert largest_remainder([1.5, 2.75, 0.75], 5, [9, 9, 9]) == [1, 3, 1]


@pytest.mark.parametrize(
    ("raw", "sizes", "sparsity", "lo", "hi", "words"),
    [
        ([0.5], [10], 0.5, 0.6, 0.9, "mean density of 0.5 does not lie"),
        ([0.5], [10], 0.5, 0.1, 0.4, "mean density of 0.5 does not lie"),
        ([0.5, 0.5], [10], 0.5, 0.0, 1.0, "2 densities were given for 1 units"),
        ([math.nan], [10], 0.5, 0.0, 1.0, "finite"),
        ([1e300, 0.0], [10, 10], 0.5, 0.0, 1.0, "finite"),
        ([0.5], [0], 0.5, 0.0, 1.0, "at least one weight"),
        ([], [], 0.5, 0.0, 1.0, "0 units"),
    ],
)
def test_impossible_requests_are_refused_with_the_reason(raw, sizes, sparsity, lo, hi, words):
    with pytest.raises(UsageError, match=words):
        project(raw, sizes, sparsity, lo, hi)


def test_sparsity_outside_zero_to_one_is_refused():
    with pytest.raises(UsageError, match=r"1\.2"):
        total_zeros(1.2, 100)
