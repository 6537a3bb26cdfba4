import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.pruning.allocation.global_threshold import global_zeros
from autoprune.pruning.masks import matrix_mask


def layers(seed: int, negative: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = {
        "a": torch.rand(30, 20, generator=generator),
        "b": torch.randn(10, 40, generator=generator).exp() * 1e-3,
        "c": torch.randn(25, 8, generator=generator).abs() * 1e4,
    }
    return {name: score - score.mean() if negative else score for name, score in scores.items()}


@pytest.mark.parametrize("negative", [False, True])
@given(seed=st.integers(0, 1000), sparsity=st.floats(0, 1))
def test_the_total_is_exact_and_close_to_sorting_all_normalised_scores(negative, seed, sparsity):
    scores = layers(seed, negative)
    zeros = global_zeros(scores.items(), sparsity)
    weights = sum(score.numel() for score in scores.values())
    assert sum(zeros.values()) == round(sparsity * weights)
    normalised = [(float(v), name) for name, s in scores.items() for v in (s / s.abs().mean()).flatten()]
    lowest = [name for _, name in sorted(normalised)[: round(sparsity * weights)]]
    for name in scores:
        assert abs(zeros[name] - lowest.count(name)) <= 8


def test_layers_of_one_shape_and_any_scale_share_alike():
    score = torch.rand(50, 50, generator=torch.Generator().manual_seed(0))
    zeros = global_zeros([("a", score), ("b", 1e-6 * score), ("c", 1e6 * score)], 0.3)
    assert sum(zeros.values()) == 2250
    assert max(zeros.values()) - min(zeros.values()) <= 25


def test_a_layer_of_low_scores_beside_few_large_ones_is_pruned_more():
    generator = torch.Generator().manual_seed(1)
    skewed, flat = torch.randn(100, 100, generator=generator).mul(2).exp(), torch.rand(100, 100, generator=generator)
    zeros = global_zeros([("skewed", skewed), ("flat", flat + 1)], 0.4)
    assert zeros["skewed"] > 2 * zeros["flat"]


def test_constant_layers_are_shared_in_proportion():
    zeros = global_zeros([("a", torch.zeros(10, 10)), ("b", torch.zeros(10, 20))], 0.5)
    assert zeros == {"a": 50, "b": 100}
    assert int((~matrix_mask(torch.zeros(10, 10), zeros["a"])).sum()) == 50
