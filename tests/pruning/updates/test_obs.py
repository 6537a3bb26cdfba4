import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import AutoPruneError, UsageError
from autoprune.pruning.inverse import inverse_factor
from autoprune.pruning.masks import nm_mask, row_mask
from autoprune.pruning.updates.obs import obs, sparsegpt

ROWS, COLS = 5, 24


def problem(seed: int, rows: int = ROWS, cols: int = COLS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, cols, generator=generator) @ torch.randn(cols, cols, generator=generator)
    return torch.randn(rows, cols, generator=generator), inputs.T @ inputs / 200


def damped(hessian: torch.Tensor) -> torch.Tensor:
    return hessian.double() + 0.01 * hessian.double().diagonal().mean() * torch.eye(len(hessian))


def obs_by_loops(weight: torch.Tensor, mask: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """Optimal brain surgeon, column by column: the inverse of what is left of H is taken anew at every column."""
    weight, hessian = weight.double().clone(), damped(hessian)
    for j in range(weight.shape[1]):
        inverse = torch.linalg.inv(hessian[j:, j:])
        for i in range(weight.shape[0]):
            if not mask[i, j]:
                weight[i, j:] -= weight[i, j].clone() / inverse[0, 0] * inverse[0]
                weight[i, j] = 0.0
    return weight


def sparsegpt_by_loops(weight, hessian, zeros_per_block, block):
    weight, hessian = weight.double().clone(), damped(hessian)
    mask = torch.ones(weight.shape, dtype=torch.bool)
    for j in range(weight.shape[1]):
        if j % block == 0:
            # The j-th pivot of the elimination: 1 / U_jj^2 is the inverse of [H[j:, j:]^-1]_00.
            width = min(block, weight.shape[1] - j)
            pivots = [float(1 / torch.linalg.inv(hessian[j + k :, j + k :])[0, 0]) for k in range(width)]
            scored = sorted(
                (float(weight[i, j + k]) ** 2 * pivots[k], i, j + k) for i in range(ROWS) for k in range(width)
            )
            for _, i, k in scored[: zeros_per_block[j // block]]:
                mask[i, k] = False
        inverse = torch.linalg.inv(hessian[j:, j:])
        for i in range(weight.shape[0]):
            if not mask[i, j]:
                weight[i, j:] -= weight[i, j].clone() / inverse[0, 0] * inverse[0]
                weight[i, j] = 0.0
    return weight, mask


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_obs_equals_surgery_by_plain_loops_for_any_mask(seed, share):
    weight, hessian = problem(seed)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed + 1)) > share
    updated = obs(weight, mask, inverse_factor(hessian))
    assert torch.allclose(updated.double(), obs_by_loops(weight, mask, hessian), rtol=1e-3, atol=1e-4)
    assert bool((updated[~mask] == 0).all())


@pytest.mark.parametrize(("zeros", "per_block"), [(61, [20, 20, 21]), (60, [20, 20, 20]), (0, [0, 0, 0])])
def test_sparsegpt_equals_plain_loops_with_an_exact_share_per_block(zeros, per_block):
    weight, hessian = problem(7)
    updated, mask = sparsegpt(weight, zeros, inverse_factor(hessian), block=8)
    assert int((~mask).sum()) == zeros
    assert sorted((~mask[:, at : at + 8]).sum().item() for at in (0, 8, 16)) == per_block
    counts = [int((~mask[:, at : at + 8]).sum()) for at in (0, 8, 16)]
    expected, expected_mask = sparsegpt_by_loops(weight, hessian, counts, 8)
    assert torch.equal(mask, expected_mask)
    assert torch.allclose(updated.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pattern", [(2, 4), (4, 8), (1, 3), (5, 6)])
def test_sparsegpt_never_violates_a_pattern_and_chooses_group_by_group(pattern):
    weight, hessian = problem(8, cols=48)
    n, m = pattern
    factor = inverse_factor(hessian)
    updated, mask = sparsegpt(weight, 0, factor, pattern)
    assert bool((mask.view(ROWS, -1, m).sum(2) == n).all())
    assert bool((updated[~mask] == 0).all())
    first = weight[:, :m].square() / factor.upper.diagonal()[:m].square()
    assert torch.equal(mask[:, :m], nm_mask(first, n, m))
    assert torch.allclose(updated, obs(weight, mask, factor), atol=1e-5)


def test_choosing_on_the_way_is_the_same_update_as_the_final_mask():
    weight, hessian = problem(9, cols=300)
    factor = inverse_factor(hessian)
    updated, mask = sparsegpt(weight, 900, factor)
    assert torch.allclose(updated, obs(weight, mask, factor), atol=1e-5)


def test_the_update_lowers_the_reconstruction_error():
    weight, hessian = problem(10, rows=40, cols=64)
    mask = row_mask(weight.abs() * hessian.diagonal().sqrt(), 40 * 32)

    def error(pruned: torch.Tensor) -> float:
        return float(((pruned - weight) @ hessian * (pruned - weight)).sum())

    factor = inverse_factor(hessian)
    plain, updated = error(weight * mask), error(obs(weight, mask, factor))
    assert updated < 0.9 * plain
    assert error(sparsegpt(weight, 40 * 32, factor)[0]) < plain


def test_the_factor_inverts_the_damped_hessian():
    _, hessian = problem(11)
    upper = inverse_factor(hessian).upper.double()
    assert torch.equal(upper, upper.triu())
    assert torch.allclose(upper.T @ upper @ damped(hessian), torch.eye(COLS, dtype=torch.float64), atol=1e-3)


@given(st.floats(1e-6, 1e6))
def test_the_update_does_not_depend_on_the_scale_of_the_hessian(scale):
    weight, hessian = problem(12)
    mask = row_mask(weight.abs(), 60)
    expected = obs(weight, mask, inverse_factor(hessian))
    assert torch.allclose(obs(weight, mask, inverse_factor(hessian * scale)), expected, rtol=1e-3, atol=1e-3)


def test_rows_are_compensated_independently_of_each_other():
    weight, hessian = problem(17)
    factor, mask = inverse_factor(hessian), row_mask(weight.abs(), 60)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert torch.allclose(obs(weight[order], mask[order], factor), obs(weight, mask, factor)[order], atol=1e-6)
    updated, chosen = sparsegpt(weight, 60, factor)
    again, chosen_again = sparsegpt(weight[order], 60, factor)
    assert torch.equal(chosen_again, chosen[order])
    assert torch.allclose(again, updated[order], atol=1e-6)


def test_inputs_that_were_never_active_are_pruned_first_and_otherwise_left_alone():
    weight, hessian = problem(13)
    dead = torch.zeros(COLS, dtype=torch.bool)
    dead[[3, 17]] = True
    hessian[dead] = 0
    hessian[:, dead] = 0
    factor = inverse_factor(hessian)
    assert torch.equal(factor.dead, dead)
    mask = row_mask(weight.abs(), 60)
    assert torch.equal(obs(weight, mask, factor)[:, dead], (weight * mask)[:, dead])
    updated, mask = sparsegpt(weight, 60, factor)
    assert not bool(mask[:, dead].any())
    assert int((updated == 0).sum()) == 60


def test_a_layer_that_saw_no_token_is_pruned_without_compensation():
    weight, hessian = problem(14)
    mask = row_mask(weight.abs(), 60)
    assert torch.equal(obs(weight, mask, inverse_factor(torch.zeros_like(hessian))), weight * mask)


def test_a_singular_hessian_is_recovered_and_says_with_how_much_damping():
    column = torch.randn(COLS, 1, generator=torch.Generator().manual_seed(15))
    assert inverse_factor(column @ column.T).damping == 0.01
    indefinite = column @ column.T - 0.5 * torch.eye(COLS)
    assert inverse_factor(indefinite.clone().fill_diagonal_(1.0)).damping > 0.01


def test_a_hopeless_hessian_is_refused_with_advice():
    with pytest.raises(AutoPruneError, match="inf or NaN"):
        inverse_factor(torch.full((4, 4), torch.nan))
    hopeless = torch.full((4, 4), -100.0).fill_diagonal_(1.0)
    with pytest.raises(AutoPruneError, match="not positive definite"):
        inverse_factor(hopeless)


def test_shapes_that_do_not_fit_are_refused():
    weight, hessian = problem(16)
    with pytest.raises(UsageError, match="does not have the weight's shape"):
        obs(weight, torch.ones(2, 2, dtype=torch.bool), inverse_factor(hessian))
    with pytest.raises(UsageError, match="divisible by 5, not 24"):
        sparsegpt(weight, 0, inverse_factor(hessian), (2, 5))
