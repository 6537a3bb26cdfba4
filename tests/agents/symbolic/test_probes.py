"""Formulas that rank alike are recognised, and numpy says of a formula what its source says in torch."""

from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.agents.symbolic import variation
from autoprune.agents.symbolic.probes import _probes, _value, fingerprint
from autoprune.agents.symbolic.source import source


def torch_scores(expression, probe):
    fields = {"W": "weight", "G": "gradient", "X": "input_norm", "M": "input_mean", "V": "input_var"}
    fields |= {"H": "hessian_diag"}
    view = SimpleNamespace(**{field: torch.tensor(probe.inputs[name]) for name, field in fields.items()})
    view.depth, view.sparsity, view.role = float(probe.inputs["D"]), float(probe.inputs["S"]), probe.role
    names = {}
    exec(source(expression, "row"), names)
    torch.set_default_dtype(torch.float64)  # as numpy computes
    try:
        return names["score"](view).numpy()
    finally:
        torch.set_default_dtype(torch.float32)


@given(seed=st.integers(0, 100_000))
@settings(max_examples=150, deadline=None)
def test_numpy_and_the_source_agree(seed):
    tree = variation._bare(variation.explore(Random(seed)))
    for probe in _probes():
        with np.errstate(all="ignore"):
            ours = np.broadcast_to(_value(tree, probe), probe.inputs["W"].shape)
        if np.isfinite(ours).all():
            np.testing.assert_allclose(torch_scores(tree, probe), ours, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other", "group"),
    [
        (("mul", "W", "X"), ("mul", ("sqr", "W"), ("sqr", "X")), "row"),
        (("mul", "W", "X"), ("mul", ("mul", "W", "X"), ("row_norm", "W")), "row"),
        (("mul", "W", "X"), ("log", ("mul", "W", "X")), "matrix"),
        (("mul", "W", "X"), ("add", ("mul", "W", "X"), "D"), "row"),
        (("exchange", "W", 2.0), ("exchange", ("sqrt", "W"), 2.0), "row"),
    ],
)
def test_formulas_that_rank_alike_have_one_fingerprint(one, other, group):
    assert fingerprint(one, group) == fingerprint(other, group)


@pytest.mark.parametrize(
    ("one", "other", "group"),
    [
        (("mul", "W", "X"), ("mul", "W", ("sqrt", "X")), "row"),
        (("mul", "W", "X"), ("mul", ("mul", "W", "X"), ("row_norm", "W")), "matrix"),
        (("exchange", "W", 2.0), ("exchange", "W", 3.0), "row"),
        (("exchange", "W", 2.0), "W", "row"),
        (("code", "a"), ("code", "b"), "row"),
    ],
)
def test_formulas_that_rank_differently_have_two(one, other, group):
    assert fingerprint(one, group) != fingerprint(other, group)


def test_what_overflows_has_none():
    tree = "W"
    for _ in range(5):
        tree = ("pow", tree, 4.0)
    assert fingerprint(tree, "row") is None
