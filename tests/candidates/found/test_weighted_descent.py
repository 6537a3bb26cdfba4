"""Coordinate descent over the whole matrix, against plain loops on a small one."""

import pytest
import torch

from autoprune import kit
from autoprune.candidates.found import weighted_descent as file
from autoprune.candidates.found.weighted_descent import weighted_descent
from tests.pruning.updates.problems import problem

SHRINK = 0.03


def weighted_error(weight, hessian, mask, sensitivity, shrink=SHRINK):
    """The sum that is minimised, by loops, in float64."""
    total = 0.0
    for i, row in enumerate(weight.double()):
        for j in range(len(row)):
            for k in range(len(row)):
                between = hessian[j, k].double() * (1.0 if j == k else 1.0 - shrink)
                total += sensitivity[i].double() * row[j] * ~mask[i, j] * between * row[k] * ~mask[i, k]
    return float(total)


@pytest.fixture
def layer():
    weight, hessian = problem(1)
    return weight, hessian, torch.linspace(0.2, 3.0, len(weight))


@pytest.mark.parametrize("kept", [1, 40, 72, 120])
@pytest.mark.parametrize("block", [3, 16])
def test_the_count_is_exact_and_the_error_is_never_above_that_of_the_mask_by_the_diagonal(layer, kept, block):
    weight, hessian, sensitivity = layer
    mask = weighted_descent(weight, hessian, kept, sensitivity, block=block)
    assert (mask.dtype, mask.shape, int(mask.sum())) == (torch.bool, weight.shape, kept)
    score = weight.square() * hessian.diagonal() * sensitivity[:, None]
    first = kit.matrix_mask(score, weight.numel() - kept)
    errors = [weighted_error(weight, hessian, each, sensitivity) for each in (mask, first)]
    assert errors[0] <= errors[1] * (1 + 1e-6)


def test_more_sweeps_and_swaps_find_a_lower_error(layer):
    weight, hessian, sensitivity = layer
    masks = [
        weighted_descent(weight, hessian, 60, sensitivity, sweeps, swaps=swaps) for sweeps, swaps in ((0, 0), (7, 12))
    ]
    errors = [weighted_error(weight, hessian, mask, sensitivity) for mask in masks]
    assert errors[1] < 0.9 * errors[0]


def test_a_step_of_the_descent_is_the_best_change_of_a_weight_and_lowers_the_sum(layer):
    """With one block a sweep changes at most one weight per row: the best of all, tried one by one."""
    weight, hessian, _ = layer
    inputs, kept = weight.shape[1], 60
    mask = kit.matrix_mask(weight.square() * hessian.diagonal(), weight.numel() - kept)
    importance = file._importance(weight, hessian, mask)
    price = float(importance.flatten().kthvalue(importance.numel() - kept + 1).values)
    changed = file._descended(weight, hessian, mask, kept, 1, inputs)

    def total(row, row_mask):
        pruned = weight[row] * ~row_mask
        return float(pruned.double() @ hessian.double() @ pruned.double()) + price * int(row_mask.sum())

    for row in range(len(weight)):
        tried = []
        for column in range(inputs):
            other = mask[row].clone()
            other[column] = ~other[column]
            tried.append(total(row, other))
        best = min(total(row, mask[row]), *tried)
        assert total(row, changed[row]) == pytest.approx(best, rel=1e-5)


def test_swaps_within_rows_keep_the_counts_and_never_raise_the_error_of_a_row(layer):
    weight, hessian, _ = layer
    mask = kit.matrix_mask(weight.abs(), 70)
    swapped = file._swapped(weight, hessian, mask, 12, rows=5)
    assert torch.equal(swapped.sum(1), mask.sum(1))
    errors = [((weight * ~each) @ hessian * (weight * ~each)).sum(1) for each in (swapped, mask)]
    assert bool((errors[0] <= errors[1] * (1 + 1e-5)).all())
    assert bool((errors[0] < errors[1]).any())


@pytest.mark.parametrize("kept", [0, 144])
def test_nothing_or_everything_may_be_kept(layer, kept):
    weight, hessian, sensitivity = layer
    kept = min(kept, weight.numel())
    assert int(weighted_descent(weight, hessian, kept, sensitivity).sum()) == kept
