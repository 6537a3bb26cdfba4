from random import Random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.agents.symbolic import variation
from autoprune.agents.symbolic.expression import SEEDS, formula, freeze, shape, simplify, size, source
from autoprune.pruning.scores import SCORES
from autoprune.sandbox.screen import screen


def layer(seed=0, rows=6, columns=10):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(50, columns, generator=draw)
    return SimpleNamespace(
        weight=torch.randn(rows, columns, generator=draw),
        input_norm=inputs.norm(dim=0),
        input_mean=inputs.mean(0),
        input_var=inputs.var(0),
        hessian_diag=inputs.square().mean(0),
        hessian=inputs.T @ inputs / len(inputs),
        sparsity=0.5,
    )


def run(expression, view):
    names = {}
    exec(source(expression, "row"), names)
    return names["score"](view)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_every_variation_is_a_valid_finite_candidate(seed):
    random = Random(seed)
    one, other = variation.initialise(random), variation.explore(random)
    for tree in (
        one,
        other,
        variation.cross(one, other, random),
        variation.mutate_structure(other, random),
        variation.mutate_constants(one, random),
        variation.shrink(other, random),
    ):
        text = source(tree, "matrix")
        assert [finding for finding in screen(text) if finding.severity == "error"] == []
        scores = run(tree, layer(seed))
        assert scores.shape == (6, 10)
        assert torch.isfinite(scores).all()
        assert size(tree) <= variation.LARGEST
        assert freeze(list(tree) if isinstance(tree, tuple) else tree) == tree


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_mutations_change_the_expression(seed):
    random = Random(seed)
    parent = variation.explore(random)
    assert variation.mutate_structure(parent, random) != parent
    assert variation.mutate_constants(parent, random) != parent


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_seeds_are_the_published_scores(name):
    expression, group = SEEDS[name]
    view = layer()
    torch.testing.assert_close(run(expression, view), SCORES[name](view))
    assert group == SCORES[name].group


def test_finite_scores_where_inputs_are_all_zero():
    view = layer()
    for name in set(vars(view)) - {"sparsity"}:
        setattr(view, name, torch.zeros_like(getattr(view, name)))
    for seed in range(100):
        assert torch.isfinite(run(variation.explore(Random(seed)), view)).all()


@pytest.mark.parametrize(
    ("tree", "simple"),
    [
        (("sqrt", ("sqr", "W")), "W"),
        (("minmax", ("minmax", "W")), ("minmax", "W")),
        (("pow", ("pow", "W", 0.5), 3.0), ("pow", "W", 1.5)),
        (("pow", "W", 1.0), "W"),
    ],
)
def test_pairs_that_cancel_are_dropped(tree, simple):
    assert simplify(tree) == simple


def test_a_vector_is_no_score():
    assert shape(("mul", "X", "V")) == "row"
    with pytest.raises(ValueError, match="no matrix"):
        source(("mul", "X", "V"), "row")


def test_formulas_read_as_words():
    assert formula(("mul", "W", ("pow", "X", 0.5))) == "mul(|weight|, pow(input norm, 0.5))"
