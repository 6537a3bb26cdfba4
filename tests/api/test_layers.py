"""`autoprune.layer_view` has the contract's fields, with the values that their definitions give."""

import hypothesis.strategies as some
import pytest
import torch
from hypothesis import given
from torch import nn
from transformers.pytorch_utils import Conv1D

import autoprune
from autoprune.candidates.contract import EXPENSIVE_FIELDS, LAYER_FIELDS
from autoprune.errors import UsageError
from autoprune.models.blocks import watch_inputs


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(some.integers(1, 6), some.integers(1, 7), some.integers(1, 9), some.integers(0, 99))
def test_the_statistics_are_those_of_plain_loops(rows, columns, tokens, seed):
    linear, inputs = nn.Linear(columns, rows, bias=False), random(tokens, columns, seed=seed)
    view = autoprune.layer_view(linear, inputs)
    for i in range(columns):
        values = [float(inputs[token, i]) for token in range(tokens)]
        mean, square = sum(values) / tokens, sum(value**2 for value in values) / tokens
        assert float(view.input_norm[i]) == pytest.approx((square * tokens) ** 0.5, abs=1e-5)
        assert float(view.input_mean[i]) == pytest.approx(mean, abs=1e-5)
        assert float(view.input_var[i]) == pytest.approx(max(square - mean**2, 0), abs=1e-5)
        assert float(view.hessian_diag[i]) == pytest.approx(square, abs=1e-5)
        for j in range(columns):
            product = sum(float(inputs[token, i] * inputs[token, j]) for token in range(tokens)) / tokens
            assert float(view.hessian[i, j]) == pytest.approx(product, abs=1e-4)
    assert torch.equal(view.weight, linear.weight.detach())


def test_every_field_of_the_contract_is_there():
    rows, columns = 3, 5
    optional = {"gradient": random(rows, columns), "output_sensitivity": random(rows)}
    view = autoprune.layer_view(nn.Linear(columns, rows), random(2, 4, columns), role="q", sparsity=0.6, **optional)
    assert set(vars(view)) == {field.name for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS)}
    bare = autoprune.layer_view(nn.Linear(columns, rows), random(2, columns))
    assert not hasattr(bare, "gradient")


def test_it_is_what_a_candidate_sees_of_the_same_layer(bench):
    layer = bench.target.prunable[0]
    seen = []
    watches = watch_inputs([layer], lambda info, inputs: seen.append(inputs.clone()))
    with torch.inference_mode():
        for window in bench.windows("calibration").tokens:
            bench.target.model(window[None], use_cache=False)
    for watch in watches:
        watch.remove()
    view = autoprune.layer_view(layer.module, torch.cat(seen))
    expected = bench.readable(("hessian",)).view(layer.info.name, 0.5)
    for name in ("weight", "input_norm", "input_mean", "input_var", "hessian_diag", "hessian"):
        torch.testing.assert_close(getattr(view, name), getattr(expected, name), rtol=1e-4, atol=1e-4)


def test_a_transposed_layer_and_half_precision_are_float32_copies():
    layer = Conv1D(4, 6).to(torch.bfloat16)
    view = autoprune.layer_view(layer, random(3, 6).to(torch.bfloat16))
    assert view.weight.shape == (4, 6)
    assert view.weight.dtype == view.hessian.dtype == torch.float32
    view.weight.zero_()
    assert layer.weight.count_nonzero() > 0


@pytest.mark.parametrize(
    ("linear", "inputs", "keywords", "problem"),
    [
        (nn.ReLU(), torch.ones(2, 4), {}, "a ReLU is no linear layer"),
        (nn.Linear(4, 2), torch.ones(2, 3), {}, r"shape \[2, 3\]; this layer needs \[..., 4\]"),
        (nn.Linear(4, 2), torch.ones(0, 4), {}, "not empty"),
        (nn.Linear(4, 2), torch.ones(2, 4, dtype=torch.long), {}, "floating-point"),
        (nn.Linear(4, 2), torch.full((2, 4), torch.inf), {}, "not finite"),
        (nn.Linear(4, 2), torch.ones(2, 4), {"role": "key"}, "role 'key'"),
        (nn.Linear(4, 2), torch.ones(2, 4), {"sparsity": 50}, "sparsity 50"),
        (nn.Linear(4, 2), torch.ones(2, 4), {"pattern": "4:2"}, "pattern '4:2'"),
        (nn.Linear(4, 2), torch.ones(2, 4), {"gradient": torch.ones(4, 2)}, r"gradient has shape \[4, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(linear, inputs, keywords, problem):
    with pytest.raises(UsageError, match=problem):
        autoprune.layer_view(linear, inputs, **keywords)
