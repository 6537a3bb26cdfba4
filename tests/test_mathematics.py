"""Formulas as mathematics: every operator and input of the symbolic engine, and no more than that."""

from random import Random

import pytest

from autoprune.agents.symbolic.expression import SEEDS, non_negative
from autoprune.agents.symbolic.operators import OPERATORS, TERMINALS
from autoprune.mathematics import LONGEST, formula, symbols

DRAWN = {
    "add": (["add", "W", "X"], "|W| + ‖X‖"),
    "mul": (["mul", "W", "X"], "|W| · ‖X‖"),
    "sub": (["sub", "W", "X"], "|W| − ‖X‖"),
    "div": (["div", "W", "X"], "|W| / ‖X‖"),
    "pow": (["pow", "X", 0.5], "‖X‖^0.5"),
    "attention": (["attention", "W", "G"], "(|W| in attention layers, |G| in others)"),
    "sqr": (["sqr", "W"], "|W|²"),
    "sqrt": (["sqrt", "H"], "√diag(H)"),
    "abs": (["abs", ["sub", "W", "M"]], "||W| − |μ||"),
    "neg": (["neg", "W"], "−|W|"),
    "log": (["log", "G"], "ln(1 + |G|)"),
    "exp": (["exp", "W"], "exp(min(|W|, 10))"),
    "tanh": (["tanh", "V"], "tanh(σ²)"),
    "row_share": (["row_share", "W"], "row_share(|W|)"),
    "column_share": (["column_share", "W"], "column_share(|W|)"),
    "row_norm": (["row_norm", "G"], "row_norm(|G|)"),
    "column_norm": (["column_norm", "G"], "column_norm(|G|)"),
    "minmax": (["minmax", "G"], "minmax(|G|)"),
    "zscore": (["zscore", "W"], "zscore(|W|)"),
    "exchange": (["exchange", ["mul", "W", "X"], 16.0], "|W| · ‖X‖, then 16 rounds of mask swaps"),
}


def test_every_operator_and_input_of_the_engine_is_drawn():
    assert set(DRAWN) == set(OPERATORS)
    assert all(formula(name) for name in TERMINALS)
    assert formula(["exchange", ["code", "def score(layer): ..."], 16.0]) == "s(W), then 16 rounds of mask swaps"


@pytest.mark.parametrize(("expression", "text"), DRAWN.values(), ids=DRAWN)
def test_an_operator_as_mathematics(expression, text):
    assert formula(expression) == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (["mul", ["add", "W", "G"], ["pow", "X", 0.5]], "(|W| + |G|) · ‖X‖^0.5"),
        (["sub", "W", ["sub", "G", "X"]], "|W| − (|G| − ‖X‖)"),
        (["div", "W", ["mul", "G", "X"]], "|W| / (|G| · ‖X‖)"),
        (["div", ["sub", "W", "G"], "X"], "||W| − |G|| / ‖X‖"),
        (["pow", ["pow", "X", 2.0], -0.5], "(‖X‖^2)^−0.5"),
        (["mul", "W", ["neg", "G"]], "|W| · (−|G|)"),
        (["mul", "W", -2.0], "|W| · (−2)"),
        (["add", "W", ["mul", "G", 100.0]], "|W| + |G| · 100"),
        (["pow", "V", 0.25], "(σ²)^0.25"),
        (["sqrt", ["mul", "W", "G"]], "√(|W| · |G|)"),
    ],
)
def test_parentheses_say_what_belongs_together(expression, text):
    assert formula(expression) == text


def test_an_argument_that_may_be_negative_is_drawn_with_the_guard_of_the_source():
    random = Random(0)

    def drawn(depth):
        if depth == 0 or random.random() < 0.2:
            return random.choice(list(TERMINALS))
        name = random.choice([name for name in OPERATORS if name != "exchange"])
        if name == "pow":
            return (name, drawn(depth - 1), random.choice([0.5, -0.5]))
        return (name, *(drawn(depth - 1) for _ in range(OPERATORS[name].arity)))

    for _ in range(300):
        inside = drawn(3)
        plain = formula(inside)
        assert plain
        assert (
            formula(("tanh", ("row_share", inside)))
            == (f"tanh(row_share({plain}))" if non_negative(inside) else f"tanh(row_share(|{plain}|))")
            or len(plain) > LONGEST - 20
        )


def test_the_symbols_of_a_formula_are_explained():
    assert symbols(SEEDS["wanda"][0]) == [("|W|", "absolute weight"), ("‖X‖", "norm of each input")]
    assert [symbol for symbol, _ in symbols(["minmax", ["code", "x"]])] == ["minmax(x)", "s(W)"]


def deep(levels):
    expression = "W"
    for _ in range(levels):
        expression = ["abs", expression]
    return expression


@pytest.mark.parametrize(
    "expression",
    [
        None, {}, [], [[]], [["add"]], ["add"], ["add", "W"], ["add", "W", "X", "G"], ["evil", "W"], "Q", True,
        [7, "W"], ["pow", "W", "X"], ["exchange", "W", "many"], ["add", "W", None], ["add", "W", {"a": 1}], deep(5000),
        ["add", *["W"] * 100_000], ["<script>", "W"],
    ],
    ids=range(19),
)  # fmt: skip
def test_what_is_no_expression_has_no_formula(expression):
    assert formula(expression) == ""


def test_odd_numbers_are_drawn():
    assert formula(["mul", "W", float("inf")]) == "|W| · ∞"
    assert formula(["mul", "W", 10**400]) == "|W| · ∞"
