import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.nm_mix import mix, mixed_zeros
from autoprune.pruning.allocation.sdsa import SDSA


@given(st.lists(st.floats(-1, 20), min_size=2, max_size=30), st.sampled_from([4, 8, 16]), st.data())
def test_equal_units_hold_every_budget_on_the_lattice_exactly(skews, m, data):
    sizes = [96 * m] * len(skews)
    lattice = len(skews) * m
    kept = data.draw(st.integers(0, lattice))
    sparsity = 1 - kept / lattice
    chosen = mix(SDSA().densities(skews, sizes, sparsity), sizes, sparsity, m)
    assert sum(mixed_zeros(chosen, sizes, m)) == round(sparsity * sum(sizes))
    ranked = sorted(range(len(skews)), key=skews.__getitem__)
    assert all(0 <= n <= m for n in chosen)
    # Whole numbers may tie, but a unit of clearly more skew never keeps two fewer of every m.
    assert all(chosen[a] <= chosen[b] + 1 for a, b in itertools.combinations(ranked, 2))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 6)), min_size=1, max_size=5), st.floats(0.05, 0.95))
def test_unequal_units_come_as_near_as_trying_everything(units, sparsity):
    m, sizes = 4, [4 * count for _, count in units]
    densities = [density for density, _ in units]
    goal = round(sparsity * sum(sizes))
    chosen = mix(densities, sizes, sparsity, m)
    miss = abs(sum(mixed_zeros(chosen, sizes, m)) - goal)
    near = [[n for n in range(m + 1) if abs(n - m * density) <= 2] for density in densities]
    assert miss <= min(abs(sum(mixed_zeros(tried, sizes, m)) - goal) for tried in itertools.product(*near))


def test_uniform_densities_give_the_strict_pattern():
    assert mix([0.5] * 30, [3_538_944] * 30, 0.5, 4) == [2] * 30


def test_many_different_sizes_are_settled_nearly_and_quickly():
    sizes = [4 * (10_007 + 97 * i * i) for i in range(60)]
    chosen = mix(SDSA().densities(list(range(60)), sizes, 0.5), sizes, 0.5, 4)
    assert abs(sum(mixed_zeros(chosen, sizes, 4)) / sum(sizes) - 0.5) < 5e-4


def test_a_size_that_the_pattern_does_not_divide_is_refused():
    with pytest.raises(UsageError, match="multiple of 4 weights, not 10"):
        mix([0.5], [10], 0.5, 4)
