"""Compensation of removed inputs, against direct solutions and properties."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.pruning.compensation import least_squares, mean_bias, removed


def problem(seed=0, inputs=8, outputs=5, tokens=40):
    chance = torch.Generator().manual_seed(seed)
    mixed = torch.randn(inputs, inputs, generator=chance)
    values = torch.randn(tokens, inputs, generator=chance) @ mixed + torch.randn(inputs, generator=chance)
    return torch.randn(outputs, inputs, generator=chance), values, values.T @ values / tokens


def test_without_damping_it_is_the_least_squares_solution_of_every_row():
    weight, values, hessian = problem()
    kept = torch.tensor([0, 2, 3, 6])
    expected = torch.linalg.lstsq(values[:, kept].double(), (values @ weight.T).double()).solution.T
    torch.testing.assert_close(least_squares(weight, hessian, kept, 0.0).double(), expected, rtol=1e-3, atol=1e-3)
    formula = (weight @ hessian[:, kept]).double() @ torch.linalg.inv(hessian[kept][:, kept].double())
    torch.testing.assert_close(formula, expected, rtol=1e-3, atol=1e-3)


@given(st.integers(0, 50), st.sets(st.integers(0, 7), min_size=1, max_size=7))
def test_compensated_outputs_are_closer_than_those_without(seed, keep):
    weight, values, hessian = problem(seed)
    kept = torch.tensor(sorted(keep))
    dense = values @ weight.T
    plain = values[:, kept] @ weight[:, kept].T
    compensated = values[:, kept] @ least_squares(weight, hessian, kept).T
    assert float((compensated - dense).square().sum()) <= float((plain - dense).square().sum()) * (1 + 1e-4)


def test_if_all_inputs_are_kept_nothing_changes():
    weight, _, hessian = problem()
    assert torch.equal(least_squares(weight, hessian, torch.arange(8)), weight)


def test_independent_inputs_are_not_compensated():
    weight = torch.randn(3, 6)
    kept = torch.tensor([1, 4])
    torch.testing.assert_close(least_squares(weight, torch.diag(torch.rand(6) + 0.1), kept), weight[:, kept])


def test_an_input_that_was_never_active_is_no_fault():
    weight, _, hessian = problem()
    hessian[2], hessian[:, 2] = 0.0, 0.0
    assert least_squares(weight, hessian, torch.tensor([2, 3])).isfinite().all()


def test_the_bias_is_the_mean_output_of_what_is_removed():
    weight, values, _ = problem()
    kept = torch.tensor([0, 5, 7])
    gone = removed(kept, 8)
    assert gone.tolist() == [1, 2, 3, 4, 6]
    loops = [sum(float(weight[row, at] * values[:, at].mean()) for at in gone.tolist()) for row in range(5)]
    assert mean_bias(weight, values.mean(0), kept).tolist() == pytest.approx(loops, rel=1e-4, abs=1e-5)
