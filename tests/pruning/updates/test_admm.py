"""ADMM: plain loops, zeros, the share of layers where its error is not above that of OBS."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import AutoPruneError, UsageError
from autoprune.pruning.inverse import inverse_factor
from autoprune.pruning.masks import nm_mask, row_mask
from autoprune.pruning.updates.admm import admm, prepare
from autoprune.pruning.updates.admm_own import admm_own
from autoprune.pruning.updates.obs import obs
from tests.pruning.updates.problems import best_possible, error, never_active, problem

SEEDS = st.integers(0, 10_000)


def scaled_by_loops(weight, hessian):
    """The damped Hessian and the weight for inputs with unit norm, and these norms, in float64."""
    inputs = len(hessian)
    norm = [float(hessian[j, j].double()) ** 0.5 for j in range(inputs)]
    gram = torch.tensor([[float(hessian[i, j]) / norm[i] / norm[j] for j in range(inputs)] for i in range(inputs)])
    gram = gram.double() + 0.1 * torch.eye(inputs, dtype=torch.float64)
    return gram, weight.double() * torch.tensor(norm, dtype=torch.float64), torch.tensor(norm, dtype=torch.float64)


def admm_by_loops(weight, mask_of, hessian, iterations=20):
    """One row after another, each by linear systems that are solved anew."""
    gram, dense, norm = scaled_by_loops(weight, hessian)
    identity = torch.eye(len(gram), dtype=torch.float64)
    primal, dual = dense.clone(), torch.zeros_like(dense)
    for iteration in range(iterations):
        mask = mask_of(primal + dual, iteration)
        for row in range(len(dense)):
            kept = torch.where(mask[row], primal[row] + dual[row], 0.0)
            dual[row] = dual[row] + primal[row] - kept
            primal[row] = torch.linalg.solve(gram + identity, gram @ dense[row] + kept - dual[row])
    return torch.where(mask, primal + dual, 0.0) / norm, mask


def gradual_mask_by_loops(weight, zeros, hessian):
    """The mask of the schedule: in each row, the smallest |W + U| one by one."""
    rows = len(weight)

    def mask_of(sums, iteration):
        nonlocal mask
        if iteration < 15:
            total = zeros - round(zeros * (1 - (iteration + 1) / 15) ** 3)
            shares = [total // rows + (row < total % rows) for row in range(rows)]
            mask = torch.ones_like(weight, dtype=torch.bool)
            for row, share in enumerate(shares):
                mask[row, sums[row].abs().argsort()[:share]] = False
        return mask

    mask = torch.ones_like(weight, dtype=torch.bool)
    return admm_by_loops(weight, mask_of, hessian)


@given(seed=SEEDS, share=st.floats(0, 1), iterations=st.sampled_from([1, 5, 20]))
@settings(max_examples=15, deadline=None)
def test_equals_plain_loops_for_any_mask(seed, share, iterations):
    weight, hessian = problem(seed)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) > share
    updated = admm(weight, mask, prepare(hessian), iterations)
    expected, _ = admm_by_loops(weight, lambda sums, iteration: mask, hessian, iterations)
    assert torch.allclose(updated.double(), expected, rtol=1e-3, atol=1e-4)


@given(seed=SEEDS, share=st.sampled_from([0.3, 0.5, 0.7]))
@settings(max_examples=10, deadline=None)
def test_its_own_masks_follow_the_cubic_schedule_of_plain_loops(seed, share):
    weight, hessian = problem(seed)
    zeros = round(share * weight.numel())
    updated, mask = admm_own(weight, zeros, prepare(hessian))
    expected, expected_mask = gradual_mask_by_loops(weight, zeros, hessian)
    assert torch.equal(mask, expected_mask)
    assert torch.allclose(updated.double(), expected, rtol=1e-3, atol=1e-4)


@given(seed=SEEDS, zeros=st.integers(0, 144))
@settings(max_examples=20, deadline=None)
def test_its_own_masks_have_exactly_the_given_zeros_and_zeros_stay_zero(seed, zeros):
    weight, hessian = problem(seed)
    updated, mask = admm_own(weight, zeros, prepare(hessian))
    assert int((~mask).sum()) == zeros
    assert bool((updated[~mask] == 0).all())
    assert not bool(torch.signbit(updated[~mask]).any())
    again, _ = admm_own(weight, zeros, prepare(hessian))
    assert torch.equal(again, updated)


@pytest.mark.parametrize("pattern", [(2, 4), (1, 3), (5, 6)])
def test_its_own_masks_keep_a_pattern(pattern):
    weight, hessian = problem(3)
    n, m = pattern
    updated, mask = admm_own(weight, 0, prepare(hessian), pattern)
    assert bool((mask.view(len(weight), -1, m).sum(2) == n).all())
    assert bool((updated[~mask] == 0).all())
    first = nm_mask(weight.abs() * hessian.diagonal().sqrt(), n, m)
    assert error(weight, hessian, updated) < error(weight, hessian, weight * first)


def test_its_error_is_seldom_above_that_of_obs_and_never_below_the_least():
    below = 0
    for seed in range(100):
        weight, hessian = problem(seed, rows=8, inputs=48)
        mask = row_mask(weight.abs() * hessian.diagonal().sqrt(), weight.numel() * 6 // 10)
        by_admm = error(weight, hessian, admm(weight, mask, prepare(hessian)))
        below += by_admm <= error(weight, hessian, obs(weight, mask, inverse_factor(hessian)))
        assert by_admm >= error(weight, hessian, best_possible(weight, hessian, mask)) * (1 - 1e-4)
    assert below >= 95


def test_it_does_not_depend_on_the_scale_of_inputs():
    weight, hessian = problem(5)
    mask = row_mask(weight.abs() * hessian.diagonal().sqrt(), 72)
    scale = torch.logspace(-3, 3, hessian.shape[0])
    updated = admm(weight / scale, mask, prepare(hessian * scale * scale[:, None]))
    assert torch.allclose(updated * scale, admm(weight, mask, prepare(hessian)), rtol=1e-3, atol=1e-4)


def test_weights_of_inputs_that_were_never_active_keep_their_values():
    weight, hessian = problem(6)
    dead = torch.arange(hessian.shape[0]) % 7 == 0
    mask = row_mask(weight.abs(), 72)
    updated = admm(weight, mask, prepare(never_active(hessian, dead)))
    assert torch.allclose(updated[:, dead], (weight * mask)[:, dead], atol=1e-6)
    without_tokens = admm(weight, mask, prepare(torch.zeros_like(hessian)))
    assert torch.allclose(without_tokens, weight * mask, atol=1e-6)


def test_the_dtype_is_that_of_the_weight_and_what_does_not_fit_is_refused():
    weight, hessian = problem(7)
    prepared, mask = prepare(hessian), row_mask(weight.abs(), 72)
    assert admm(weight.bfloat16(), mask, prepared).dtype == torch.bfloat16
    assert admm_own(weight.bfloat16(), 72, prepared)[0].dtype == torch.bfloat16
    with pytest.raises(UsageError, match="does not have the weight's shape"):
        admm(weight, mask[:, 1:], prepared)
    with pytest.raises(UsageError, match="divisible by 5, not 24"):
        admm_own(weight, 0, prepared, (2, 5))
    with pytest.raises(AutoPruneError, match="inf or NaN"):
        prepare(torch.full((4, 4), torch.nan))
