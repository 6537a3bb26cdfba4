from random import Random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.agents.symbolic import variation
from autoprune.agents.symbolic.expression import SEEDS, freeze, shape, simplify, size, sound
from autoprune.agents.symbolic.operators import OPERATORS, TERMINALS
from autoprune.agents.symbolic.probes import fingerprint
from autoprune.agents.symbolic.source import source
from autoprune.candidates.screen import screen
from autoprune.pruning.scores import SCORES

BY_AN_LLM = """import torch

EPS = 0.5
GROUP = "row"


def bent(x):
    return (x + EPS).sqrt()


def score(layer):
    EPS_TOO = EPS
    return layer.weight.abs() * bent(layer.input_norm) - EPS_TOO
"""


def layer(seed=0, rows=6, columns=10, role="q"):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(50, columns, generator=draw)
    return SimpleNamespace(
        weight=torch.randn(rows, columns, generator=draw),
        gradient=torch.rand(rows, columns, generator=draw),
        input_norm=inputs.norm(dim=0),
        input_mean=inputs.mean(0),
        input_var=inputs.var(0),
        hessian_diag=inputs.square().mean(0),
        hessian=inputs.T @ inputs / len(inputs),
        sparsity=0.5,
        pattern="none",
        depth=0.25,
        role=role,
    )


def load(text):
    names = {}
    exec(text, names)
    return names


def run(expression, view, group="row"):
    return load(source(expression, group))["score"](view)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_every_variation_is_a_valid_finite_candidate(seed):
    random = Random(seed)
    one, other = variation.initialise(random), variation.explore(random)
    for tree in (
        one,
        other,
        variation.cross(one, other, random),
        variation.cross(one, ("code", BY_AN_LLM), random),
        variation.mutate_structure(("code", BY_AN_LLM), random),
        variation.mutate_constants(("code", BY_AN_LLM), random),
        variation.mutate_structure(other, random),
        variation.mutate_constants(one, random),
        variation.shrink(other, random),
    ):
        text = source(tree, "matrix")
        assert [finding for finding in screen(text) if finding.severity == "error"] == []
        assert sound(tree)
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


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_what_was_simplified_ranks_as_before(seed):
    random = Random(seed)
    tree = variation._grow(random, 3)
    if sound(tree) and shape(tree) == "matrix":
        assert fingerprint(simplify(tree), "row") == fingerprint(tree, "row")


@pytest.mark.parametrize("name", sorted(SEEDS))
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 9), columns=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_seeds_are_the_published_scores(name, seed, rows, columns):
    expression, group = SEEDS[name]
    view = layer(seed, rows, columns)
    torch.testing.assert_close(run(expression, view), SCORES[name](view))
    assert group == SCORES[name].group


def test_there_is_a_seed_for_every_published_score_that_needs_no_factorisation():
    assert set(SEEDS) == set(SCORES) - {"sparsegpt"}


def test_finite_scores_where_inputs_are_all_zero():
    view = layer()
    for name in set(vars(view)) - {"sparsity", "pattern", "depth", "role"}:
        setattr(view, name, torch.zeros_like(getattr(view, name)))
    for seed in range(100):
        assert torch.isfinite(run(variation.explore(Random(seed)), view)).all()


def test_every_input_and_operator_turns_up_in_random_formulas():
    texts = " ".join(str(variation.explore(Random(seed))) for seed in range(1500))
    assert [name for name in (*TERMINALS, *OPERATORS) if f"'{name}'" not in texts] == []


@pytest.mark.parametrize(
    ("tree", "simple"),
    [
        (("sqrt", ("sqr", "W")), "W"),
        (("sqr", ("sqrt", ("sub", "W", "X"))), ("abs", ("sub", "W", "X"))),
        (("neg", ("neg", "W")), "W"),
        (("abs", ("exp", ("neg", "W"))), ("exp", ("neg", "W"))),
        (("minmax", ("minmax", "W")), ("minmax", "W")),
        (("pow", ("pow", "W", 0.5), 3.0), ("pow", "W", 1.5)),
        (("pow", "W", 1.0), "W"),
        (("attention", "W", "W"), "W"),
    ],
)
def test_what_changes_nothing_is_dropped(tree, simple):
    assert simplify(tree) == simple


def test_a_vector_is_no_score():
    assert shape(("mul", "X", "V")) == "row"
    with pytest.raises(ValueError, match="no matrix"):
        source(("mul", "X", "V"), "row")


def test_a_reduction_gives_a_column_or_a_row():
    assert shape(("row_norm", "W")) == "column"
    assert shape(("column_norm", "W")) == "row"
    assert shape(("mul", ("row_norm", "W"), "X")) == "matrix"
    assert not sound(("row_norm", "X"))


def test_attention_layers_have_a_formula_of_their_own():
    tree = ("attention", "W", ("mul", "W", "X"))
    attention, mlp = layer(role="v"), layer(role="down")
    torch.testing.assert_close(run(tree, attention), attention.weight.abs())
    torch.testing.assert_close(run(tree, mlp), mlp.weight.abs() * mlp.input_norm)
