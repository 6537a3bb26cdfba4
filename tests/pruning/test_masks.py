import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autoprune.errors import UsageError
from autoprune.pruning.masks import (
    _select_torch,
    count_zeros,
    make_mask,
    masked_weight,
    matrix_mask,
    nm_mask,
    nm_zeros,
    parse_pattern,
    row_mask,
    row_zeros,
)

# Few distinct values, so that ties are everywhere.
TIED = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0]),
)


def keep_by_sorting(values: list[float], zeros: int) -> list[bool]:
    pruned = sorted(range(len(values)), key=lambda i: (values[i], i))[:zeros]
    return [i not in pruned for i in range(len(values))]


@given(TIED, st.data())
def test_row_mask_equals_a_stable_sort_of_each_row(values, data):
    rows, cols = values.shape
    quotas = data.draw(st.lists(st.integers(0, cols), min_size=rows, max_size=rows))
    mask = row_mask(torch.from_numpy(values), torch.tensor(quotas))
    assert mask.tolist() == [keep_by_sorting(list(row), k) for row, k in zip(values, quotas, strict=True)]


@given(TIED, st.data())
def test_matrix_mask_equals_a_stable_sort_of_the_matrix(values, data):
    zeros = data.draw(st.integers(0, values.size))
    mask = matrix_mask(torch.from_numpy(values), zeros)
    assert mask.shape == values.shape
    assert mask.flatten().tolist() == keep_by_sorting(list(values.ravel()), zeros)


@given(TIED, st.integers(1, 10), st.data())
def test_nm_mask_keeps_the_best_n_of_every_m(values, m, data):
    n = data.draw(st.integers(0, m))
    values = np.tile(values, (1, m))
    mask = nm_mask(torch.from_numpy(values), n, m)
    groups = values.reshape(-1, m)
    assert mask.reshape(-1, m).tolist() == [keep_by_sorting(list(group), m - n) for group in groups]


@given(TIED, st.integers(2, 4), st.data())
def test_nm_zeros_are_those_of_the_pruned_weight_even_where_it_had_zeros_before(values, m, data):
    weight = torch.from_numpy(np.tile(values, (1, m)))
    n = data.draw(st.integers(1, m - 1))
    mask = make_mask(weight.abs(), weight, 0, "row", (n, m))
    assert nm_zeros(weight, n, m) == int(((weight * mask) == 0).sum())


def test_nm_zeros_need_inputs_that_m_divides():
    with pytest.raises(UsageError, match="divisible by 4"):
        nm_zeros(torch.ones(2, 6), 2, 4)


@given(TIED, st.sampled_from(["row", "matrix"]), st.data())
def test_the_pruned_weight_holds_exactly_the_zeros_asked_for(weight, group, data):
    weight = torch.from_numpy(weight)
    zeros = data.draw(st.integers(int((weight == 0).sum()), weight.numel()))
    score = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    mask = make_mask(score, weight, zeros, group)
    assert int((weight * mask == 0).sum()) == zeros
    assert int((~mask).sum()) == zeros


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_row_shares_are_exact_respect_existing_zeros_and_are_otherwise_even(rows, cols, data):
    at_least = torch.tensor(data.draw(st.lists(st.integers(0, cols), min_size=rows, max_size=rows)))
    zeros = data.draw(st.integers(int(at_least.sum()), rows * cols))
    shares = row_zeros(zeros, rows, cols, at_least)
    assert int(shares.sum()) == zeros
    assert bool((shares >= at_least).all() & (shares <= cols).all())
    raised_alone = shares[shares > at_least]
    assert len(raised_alone) == 0 or int(shares.max()) <= max(int(raised_alone.max()), int(at_least.max()))
    assert len(raised_alone) == 0 or int(raised_alone.max() - shares.min()) <= 1


@given(TIED, st.data())
def test_the_selection_for_accelerators_agrees_with_that_for_the_cpu(values, data):
    score = torch.from_numpy(values)
    quota = data.draw(st.integers(0, score.shape[1]))
    keep = torch.empty(score.shape, dtype=torch.bool)
    _select_torch(score, quota, keep)
    assert torch.equal(keep, row_mask(score, torch.full((len(score),), quota)))


@pytest.mark.parametrize("sparsity", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_total_over_rows_is_exact_where_rounding_per_row_would_miss(sparsity):
    score = torch.rand(7, 333, generator=torch.Generator().manual_seed(1))
    zeros = round(sparsity * score.numel())
    mask = row_mask(score, zeros)
    pruned = (~mask).sum(1)
    assert int(pruned.sum()) == zeros
    assert int(pruned.max() - pruned.min()) <= 1


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_masks_follow_a_permutation_of_rows_and_inputs(seed):
    generator = torch.Generator().manual_seed(seed)
    score = torch.rand(6, 8, generator=generator)
    rows, cols = torch.randperm(6, generator=generator), torch.randperm(8, generator=generator)
    assert torch.equal(row_mask(score[rows][:, cols], 24), row_mask(score, 24)[rows][:, cols])
    assert torch.equal(matrix_mask(score[rows][:, cols], 20), matrix_mask(score, 20)[rows][:, cols])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_float_dtype_and_a_transposed_score_are_accepted(dtype):
    score = torch.arange(24.0).reshape(4, 6).to(dtype).T
    assert (~row_mask(score, 12)).sum(1).tolist() == [2] * 6
    assert int((~matrix_mask(score, 5)).sum()) == 5


@given(TIED, st.data())
def test_scores_that_are_a_mask_already_give_that_mask(values, data):
    score = torch.from_numpy(values)
    mask = row_mask(score, data.draw(st.integers(0, values.size)))
    assert torch.equal(row_mask(mask + 0.4 * score.tanh(), int((~mask).sum())), mask)


def test_larger_matrices_are_cut_into_pieces_without_a_trace():
    score = torch.rand(300, 700, generator=torch.Generator().manual_seed(2))
    expected = score > score.sort(1).values[:, 349:350]
    assert torch.equal(row_mask(score, torch.full((300,), 350)), expected)


def test_wrong_requests_are_one_clear_line():
    score = torch.rand(3, 6)
    with pytest.raises(UsageError, match="in_features divisible by 4, not 6"):
        nm_mask(score, 2, 4)
    with pytest.raises(UsageError, match="19 zeros do not fit"):
        matrix_mask(score, 19)
    with pytest.raises(UsageError, match="19 zeros do not fit"):
        row_mask(score, 19)
    with pytest.raises(UsageError, match="shape"):
        make_mask(score, torch.rand(3, 5), 2, "row")
    with pytest.raises(UsageError, match="already holds 6 zeros, more than the 5"):
        make_mask(score[:2], torch.zeros(2, 6)[:1].expand(2, 6) + torch.tensor([[0.0], [1.0]]), 5, "matrix")
    with pytest.raises(UsageError, match="column"):
        make_mask(score, score, 2, "column")


def test_patterns_are_read_from_text():
    assert parse_pattern("2:4") == (2, 4)
    assert parse_pattern("none") is None
    for wrong in ("4:2", "0:4", "2-4", "4:4"):
        with pytest.raises(UsageError, match="N:M"):
            parse_pattern(wrong)


def test_a_pattern_prunes_existing_zeros_first():
    weight = torch.tensor([[1.0, 0.0, 3.0, 4.0]])
    score = torch.tensor([[0.1, 9.0, 0.2, 0.3]])
    assert make_mask(score, weight, 0, "row", (2, 4)).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_masked_weight_keeps_its_bits_and_is_positive_zero_elsewhere(dtype):
    weight = torch.tensor([[1.5, -2.25, torch.inf], [-0.0, -torch.inf, -3.0]], dtype=dtype)
    mask = torch.tensor([[True, False, True], [True, False, False]])
    expected = torch.tensor([[1.5, 0.0, torch.inf], [-0.0, 0.0, 0.0]], dtype=dtype)
    for result in (masked_weight(weight, mask), masked_weight(weight.T.clone().T, mask, out=torch.ones_like(weight))):
        assert torch.equal(result, expected)
        assert torch.equal(result.signbit(), expected.signbit())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_zeros_of_either_sign_are_counted_and_nothing_else(dtype):
    least = torch.finfo(dtype).smallest_normal
    weight = torch.tensor([[0.0, -0.0, least, -least], [torch.inf, -torch.inf, torch.nan, -1.0]], dtype=dtype)
    assert count_zeros(weight) == count_zeros(weight.T) == 2
    subnormal = torch.tensor([1], dtype={2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]).view(dtype)
    assert count_zeros(subnormal) == 0
