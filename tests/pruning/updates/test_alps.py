"""ALPS: plain loops, zeros, errors close to the least possible and seldom above those of ADMM."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.errors import AutoPruneError, UsageError
from autoprune.pruning.masks import matrix_mask, row_mask
from autoprune.pruning.updates import admm as by_admm
from autoprune.pruning.updates.alps import alps, on_support, prepare
from autoprune.pruning.updates.alps_own import alps_own
from tests.pruning.updates.problems import best_possible, error, never_active, problem

SEEDS = st.integers(0, 10_000)


def damped(hessian):
    return hessian.double() + 0.01 * hessian.double().diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)


def alps_by_loops(weight, mask, hessian):
    """ADMM with a penalty that grows by a tenth every third iteration, then conjugate gradients, row by row."""
    whole = damped(hessian)
    norm = whole.diagonal().sqrt()
    gram, identity = whole / norm / norm[:, None], torch.eye(len(whole), dtype=torch.float64)
    updated = torch.zeros_like(weight, dtype=torch.float64)
    for row, keep in enumerate(mask):
        dense = weight[row].double() * norm
        sparse, dual, rho = torch.where(keep, dense, 0.0), torch.zeros_like(dense), 0.1
        for _ in range(10):
            for _ in range(3):
                primal = torch.linalg.solve(gram + rho * identity, gram @ dense - dual + rho * sparse)
                sparse = torch.where(keep, primal + dual / rho, 0.0)
                dual = dual + rho * (primal - sparse)
            rho *= 1.1
        inside, solution = gram[keep][:, keep], primal[keep]
        residual = (gram @ dense)[keep] - inside @ solution
        direction = residual
        for _ in range(10):
            if residual @ residual == 0:
                break
            step = (residual @ residual) / (direction @ inside @ direction)
            solution = solution + step * direction
            following = residual - step * (inside @ direction)
            direction = following + (following @ following) / (residual @ residual) * direction
            residual = following
        updated[row, keep] = solution / norm[keep]
    return updated


@given(seed=SEEDS, share=st.floats(0, 1))
@settings(max_examples=10, deadline=None)
def test_equals_plain_loops_for_any_mask(seed, share):
    weight, hessian = problem(seed)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) > share
    updated = alps(weight, mask, prepare(hessian))
    assert torch.allclose(updated.double(), alps_by_loops(weight, mask, hessian), rtol=1e-2, atol=2e-3)
    assert bool((updated[~mask] == 0).all())
    assert not bool(torch.signbit(updated[~mask]).any())
    assert torch.equal(updated, alps(weight, mask, prepare(hessian)))


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_conjugate_gradients_never_raise_the_damped_error(seed):
    weight, hessian = problem(seed)
    prepared, mask = prepare(hessian), row_mask(weight.abs(), 72)
    start = prepared.gram.scaled(weight) * mask
    end = on_support(start, weight, mask, prepared)
    before, after = (
        error(weight, damped(hessian), prepared.gram.unscaled(each, mask, torch.float32)) for each in (start, end)
    )
    assert after <= before * (1 + 1e-5)
    assert bool((end[~mask] == 0).all())


def test_its_error_is_close_to_the_least_under_the_mask_and_seldom_above_that_of_admm():
    below = 0
    for seed in range(100):
        weight, hessian = problem(seed, rows=8, inputs=48)
        mask = row_mask(weight.abs() * hessian.diagonal().sqrt(), weight.numel() * 6 // 10)
        by_alps = error(weight, hessian, alps(weight, mask, prepare(hessian)))
        least = error(weight, hessian, best_possible(weight, hessian, mask))
        assert least * (1 - 1e-4) <= by_alps <= least * 1.05
        below += by_alps <= error(weight, hessian, by_admm.admm(weight, mask, by_admm.prepare(hessian)))
    assert below >= 95


@given(seed=SEEDS, zeros=st.integers(0, 144))
@settings(max_examples=20, deadline=None)
def test_its_own_masks_have_exactly_the_given_zeros_and_zeros_stay_zero(seed, zeros):
    weight, hessian = problem(seed)
    updated, mask = alps_own(weight, zeros, prepare(hessian))
    assert int((~mask).sum()) == zeros
    assert bool((updated[~mask] == 0).all())
    again, _ = alps_own(weight, zeros, prepare(hessian))
    assert torch.equal(again, updated)


@pytest.mark.parametrize("pattern", [(2, 4), (1, 3), (5, 6)])
def test_its_own_masks_keep_a_pattern(pattern):
    weight, hessian = problem(3)
    updated, mask = alps_own(weight, 0, prepare(hessian), pattern)
    assert bool((mask.view(len(weight), -1, pattern[1]).sum(2) == pattern[0]).all())
    assert bool((updated[~mask] == 0).all())


def test_its_own_masks_lead_to_a_smaller_error_than_those_of_wandas_scores():
    for seed in range(10):
        weight, hessian = problem(seed, rows=16, inputs=48)
        zeros = weight.numel() * 6 // 10
        first = matrix_mask(weight.abs() * hessian.diagonal().sqrt(), zeros)
        own, _ = alps_own(weight, zeros, prepare(hessian))
        assert error(weight, hessian, own) < error(weight, hessian, alps(weight, first, prepare(hessian)))


def test_weights_of_inputs_that_were_never_active_keep_their_values():
    weight, hessian = problem(6)
    dead = torch.arange(hessian.shape[0]) % 7 == 0
    mask = row_mask(weight.abs(), 72)
    updated = alps(weight, mask, prepare(never_active(hessian, dead)))
    assert torch.allclose(updated[:, dead], (weight * mask)[:, dead], atol=1e-3)
    assert torch.allclose(alps(weight, mask, prepare(torch.zeros_like(hessian))), weight * mask, atol=1e-5)


def test_the_dtype_is_that_of_the_weight_and_what_does_not_fit_is_refused():
    weight, hessian = problem(7)
    prepared, mask = prepare(hessian), row_mask(weight.abs(), 72)
    assert alps(weight.bfloat16(), mask, prepared).dtype == torch.bfloat16
    assert alps_own(weight.bfloat16(), 72, prepared)[0].dtype == torch.bfloat16
    with pytest.raises(UsageError, match="does not have the weight's shape"):
        alps(weight, mask[:, 1:], prepared)
    with pytest.raises(AutoPruneError, match="inf or NaN"):
        prepare(torch.full((4, 4), torch.inf))
