import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from autoprune.pruning.skewness import CHUNK, Moments, moments, skewness, unit_skewness, weight_skewness

SAMPLES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30)


def test_known_distributions_give_their_skewness():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(2_000_000, generator=generator)
    uniform = torch.rand(2_000_000, generator=generator) * 2 - 1
    laplace = torch.empty(2_000_000).exponential_(generator=generator)
    assert weight_skewness(normal) == pytest.approx(0.9953, abs=0.01)
    assert weight_skewness(uniform) == pytest.approx(0.0, abs=0.01)
    assert weight_skewness(laplace) == pytest.approx(2.0, abs=0.03)


@given(SAMPLES, SAMPLES)
def test_moments_of_two_parts_add_up_to_the_moments_of_the_whole(left, right):
    whole = moments(torch.tensor(left + right, dtype=torch.float64))
    parts = moments(torch.tensor(left, dtype=torch.float64)) + moments(torch.tensor(right, dtype=torch.float64))
    assert parts.count == whole.count
    for name, scale in (("mean", 1e2), ("sum2", 1e4), ("sum3", 1e6)):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=1e-9 * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_skewness_equals_an_independent_implementation_across_chunks(dtype):
    values = torch.randn(CHUNK + 12345, generator=torch.Generator().manual_seed(3)).exp().to(dtype)
    assert skewness(values) == pytest.approx(stats.skew(values.double().numpy()), rel=1e-9)


@given(st.floats(1e-8, 1e8))
def test_skewness_does_not_depend_on_scale_or_sign(scale):
    weight = torch.randn(50, 20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert weight_skewness(-scale * weight) == pytest.approx(weight_skewness(weight), rel=1e-9)


def test_constant_and_empty_samples_have_no_skew():
    assert skewness(torch.full((100,), 0.1)) == pytest.approx(0.0, abs=1e-3)
    assert skewness(torch.zeros(10)) == 0.0
    assert Moments().skewness == 0.0


def test_a_large_mean_does_not_drown_the_deviations():
    values = np.random.default_rng(5).exponential(size=100_000)
    assert skewness(torch.from_numpy(values + 1e4)) == pytest.approx(stats.skew(values), rel=1e-3)


def test_a_unit_is_the_weighted_mean_of_its_matrices():
    assert unit_skewness([(300, 1.0), (100, 3.0)]) == pytest.approx(1.5)
    assert unit_skewness([]) == 0.0
