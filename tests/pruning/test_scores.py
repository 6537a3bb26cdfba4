from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.scores import SCORES, choose_score

ROWS, COLS = 5, 7


def make_layer(seed: int = 0) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(40, COLS, generator=generator) * torch.rand(COLS, generator=generator)
    return SimpleNamespace(
        weight=torch.randn(ROWS, COLS, generator=generator),
        input_norm=inputs.norm(dim=0),
        gradient=torch.rand(ROWS, COLS, generator=generator) * 1e-3,
        hessian=inputs.T @ inputs / 40,
    )


def by_loops(name: str, layer: SimpleNamespace) -> list[list[float]]:
    """Every score again, one weight at a time, from the papers' formulas."""
    w = layer.weight.abs().tolist()
    x = layer.input_norm.tolist()
    g = layer.gradient.abs().tolist()
    low, high = min(map(min, g)), max(map(max, g))
    hessian = layer.hessian.double()
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(COLS)
    # U_jj^2 is the first entry of the inverse of what is left of H from column j on.
    pivot = [float(torch.linalg.inv(damped[j:, j:])[0, 0]) for j in range(COLS)]
    formulas = {
        "magnitude": lambda i, j: w[i][j],
        "wanda": lambda i, j: w[i][j] * x[j],
        "ria": lambda i, j: (w[i][j] / sum(row[j] for row in w) + w[i][j] / sum(w[i])) * x[j] ** 0.5,
        "gblm": lambda i, j: w[i][j] * x[j] + w[i][j] * abs(100 * g[i][j]),
        "pruner-zero": lambda i, j: w[i][j] ** 2 * (g[i][j] - low) / (high - low),
        "sparsegpt": lambda i, j: w[i][j] ** 2 / pivot[j],
    }
    return [[formulas[name](i, j) for j in range(COLS)] for i in range(ROWS)]


@pytest.mark.parametrize("name", sorted(SCORES))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_score_equals_its_formula_by_plain_loops(name, seed):
    layer = make_layer(seed)
    for row, expected in zip(SCORES[name](layer).tolist(), by_loops(name, layer), strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_score_leaves_its_inputs_alone_and_is_finite_float32(name):
    layer, same = make_layer(), make_layer()
    score = SCORES[name](layer)
    for field in ("weight", "input_norm", "gradient", "hessian"):
        assert torch.equal(getattr(layer, field), getattr(same, field))
    assert score.shape == layer.weight.shape
    assert score.dtype == torch.float32
    assert bool(score.isfinite().all())


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_layer_of_zeros_scores_finite(name):
    layer = SimpleNamespace(
        weight=torch.zeros(3, 4), input_norm=torch.zeros(4), gradient=torch.zeros(3, 4), hessian=torch.zeros(4, 4)
    )
    assert bool(SCORES[name](layer).isfinite().all())


@pytest.mark.parametrize("name", sorted(set(SCORES) - {"sparsegpt"}))
@given(seed=st.integers(0, 10**6))
def test_scores_follow_a_permutation_of_rows_and_inputs(name, seed):
    layer = make_layer()
    generator = torch.Generator().manual_seed(seed)
    rows, cols = torch.randperm(ROWS, generator=generator), torch.randperm(COLS, generator=generator)
    moved = SimpleNamespace(
        weight=layer.weight[rows][:, cols],
        input_norm=layer.input_norm[cols],
        gradient=layer.gradient[rows][:, cols],
        hessian=layer.hessian[cols][:, cols],
    )
    assert torch.allclose(SCORES[name](moved), SCORES[name](layer)[rows][:, cols], rtol=1e-5)


def test_sparsegpt_visits_inputs_in_order_so_only_rows_may_be_permuted():
    layer = make_layer()
    rows = torch.tensor([4, 2, 0, 1, 3])
    moved = SimpleNamespace(weight=layer.weight[rows], hessian=layer.hessian)
    assert torch.equal(SCORES["sparsegpt"](moved), SCORES["sparsegpt"](layer)[rows])


@given(scale=st.floats(1e-3, 1e3))
def test_ria_does_not_depend_on_the_scale_of_the_weights_and_the_others_keep_their_order(scale):
    layer, scaled = make_layer(), make_layer()
    scaled.weight = layer.weight * scale
    assert torch.allclose(SCORES["ria"](scaled), SCORES["ria"](layer), rtol=1e-5)
    for name, power in (("magnitude", 1), ("wanda", 1), ("gblm", 1), ("pruner-zero", 2), ("sparsegpt", 2)):
        assert torch.allclose(SCORES[name](scaled), SCORES[name](layer) * scale**power, rtol=1e-4)


def test_groups_follow_the_papers_and_can_be_switched():
    groups = {name: score.group for name, score in SCORES.items()}
    assert groups == {
        "magnitude": "matrix",
        "wanda": "row",
        "ria": "matrix",
        "gblm": "row",
        "pruner-zero": "row",
        "sparsegpt": "matrix",
    }
    assert (choose_score("ria@row").name, choose_score("ria@row").group) == ("ria@row", "row")
    assert choose_score("ria").group == "matrix"
    with pytest.raises(UsageError, match="'column'"):
        choose_score("ria@column")


def test_only_scores_that_read_expensive_statistics_ask_for_them():
    assert {name: score.needs for name, score in SCORES.items() if score.needs} == {
        "gblm": ("gradient",),
        "pruner-zero": ("gradient",),
        "sparsegpt": ("hessian",),
    }


def test_an_unknown_score_names_the_known_ones():
    with pytest.raises(UsageError, match="magnitude, wanda"):
        choose_score("luck")
