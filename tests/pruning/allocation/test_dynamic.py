import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import total_zeros, unit_zeros
from autoprune.pruning.allocation.dynamic import Online, next_stage, stages
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.skewness import surviving_skewness, weight_skewness

UNITS = st.lists(st.tuples(st.floats(-5, 50), st.integers(1, 10**6)), min_size=1, max_size=15)
SPARSITIES = st.floats(0, 0.99)
CONSTANTS = st.builds(SDSA, kappa=st.floats(0, 1), tau=st.floats(0.05, 10), delta=st.floats(0, 0.5))


@given(CONSTANTS, UNITS, SPARSITIES, st.randoms(use_true_random=False))
def test_online_is_exact_however_the_skewness_moves(sdsa, units, sparsity, random):
    skews, sizes = map(list, zip(*units, strict=True))
    online = Online(sdsa, sizes, sparsity)
    zeros = []
    while online.remaining:
        zeros.append(online.next_zeros(skews[len(zeros) :]))
        skews = [skew + random.uniform(-1, 1) for skew in skews]
    assert sum(zeros) == total_zeros(sparsity, sum(sizes))
    lo, hi = sdsa.box(sparsity)
    for count, n in zip(zeros, sizes, strict=True):
        assert 0 <= count <= n
        assert lo * n - len(sizes) <= n - count <= hi * n + len(sizes)


def test_online_refuses_skewness_for_other_units_than_remain():
    online = Online(SDSA(), [10, 10], 0.5)
    with pytest.raises(UsageError, match="2 units"):
        online.next_zeros([1.0])


@given(CONSTANTS, UNITS, SPARSITIES, st.integers(1, 5), st.randoms(use_true_random=False))
def test_staged_is_exact_in_every_stage_and_never_gives_back(sdsa, units, sparsity, count, random):
    skews, sizes = map(list, zip(*units, strict=True))
    zeros = [0] * len(sizes)
    for stage in stages(sparsity, count):
        later = next_stage(sdsa, skews, sizes, stage, zeros)
        assert sum(later) == total_zeros(stage, sum(sizes))
        assert all(before <= after <= n for before, after, n in zip(zeros, later, sizes, strict=True))
        zeros = later
        skews = [skew + random.uniform(-1, 1) for skew in skews]


def test_one_stage_is_the_static_allocation():
    skews, sizes = [0.5, 1.0, 4.0], [100, 300, 200]
    static = unit_zeros(SDSA().densities(skews, sizes, 0.6), sizes, 0.6)
    assert next_stage(SDSA(), skews, sizes, 0.6, [0, 0, 0]) == static


def test_stages_rise_to_the_target():
    assert stages(0.75, 2) == [0.5, 0.75]
    assert stages(0.6, 1) == [0.6]
    with pytest.raises(UsageError, match="at least one stage"):
        stages(0.5, 0)


def test_the_skewness_of_survivors_ignores_pruned_weights():
    weight = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    assert surviving_skewness(weight) == weight_skewness(weight)
    with_zeros = torch.cat([weight, torch.zeros(100, 100)])
    assert surviving_skewness(with_zeros) == pytest.approx(weight_skewness(weight))
