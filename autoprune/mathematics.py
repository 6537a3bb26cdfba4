"""An expression of the symbolic engine as a line of mathematics: |W| · ‖X‖^0.5.

Expressions are JSON: a number, the name of an input, or [operator, argument, ...]. In a stored run they are untrusted;
invalid ones give no formula.
"""

from collections.abc import Callable
from typing import Any

LONGEST = 300
"""Maximum characters of a formula."""
MOST_NODES = 500
DEEPEST = 60

INPUTS = {
    "W": ("|W|", "absolute weight"),
    "G": ("|G|", "absolute gradient of the loss"),
    "X": ("‖X‖", "norm of each input"),
    "M": ("|μ|", "absolute mean of each input"),
    "V": ("σ²", "variance of each input"),
    "H": ("diag(H)", "diagonal of the Hessian"),
    "D": ("depth", "depth of the layer, 0 to 1"),
    "S": ("sparsity", "sparsity of the layer"),
}
FUNCTIONS = {
    "tanh": "",
    "row_share": "x divided by the sum of its row",
    "column_share": "x divided by the sum of its column",
    "row_norm": "norm of each row of x",
    "column_norm": "norm of each column of x",
    "minmax": "x scaled to 0 to 1",
    "zscore": "x less its mean, in standard deviations",
}
CODE = "code"
OTHER = "s(W)"

SUM, PRODUCT, POWER, ATOM = range(4)
"""Precedence of expressions; one with less precedence than its context requires is put in parentheses."""
Drawn = tuple[str, int]


class _NoFormula(ValueError):
    """The expression is invalid or too large."""


def formula(expression: Any) -> str:
    """An expression as mathematics; empty for an invalid one."""
    try:
        _check(expression)
        match expression:
            case ["exchange", scored, rounds]:
                text = f"{_drawn(scored)[0]}, then {_number(rounds)} rounds of mask swaps"
            case _:
                text = _drawn(expression)[0]
    except _NoFormula:
        return ""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def symbols(expression: Any, origin: str = "") -> list[tuple[str, str]]:
    """The symbols of an expression with their meanings, in order; empty for an invalid expression.

    `origin`: the candidate whose score is an opaque part of the expression.
    """
    try:
        names = dict.fromkeys(_check(expression))
    except _NoFormula:
        return []
    meanings = [INPUTS.get(name) or (f"{name}(x)", FUNCTIONS.get(name, "")) for name in names if name != CODE]
    if CODE in names:
        meanings.append((OTHER, f"score of {origin or 'another candidate'}"))
    return [(symbol, meaning) for symbol, meaning in meanings if meaning]


def _check(expression: Any) -> list[str]:
    """The names in an expression, outermost first. Raises _NoFormula for an invalid, too large or too deep one."""
    names: list[str] = []
    level, nodes = [expression], 0
    for _ in range(DEEPEST):
        names += [node for node in level if isinstance(node, str)]
        inner = [node for node in level if isinstance(node, list | tuple)]
        if any(not node or not isinstance(node[0], str) for node in inner):
            raise _NoFormula
        names += [node[0] for node in inner]
        nodes += len(level)
        level = [part for node in inner if node[0] != CODE for part in node[1:]]
        if not level:
            return names
        if nodes + len(level) > MOST_NODES:
            raise _NoFormula
    raise _NoFormula


def _drawn(expression: Any) -> Drawn:
    if isinstance(expression, str) and expression in INPUTS:
        return INPUTS[expression][0], POWER if expression == "V" else ATOM
    if isinstance(expression, float | int):
        return _number(expression), ATOM if expression >= 0 else SUM
    match expression:
        case [str(name), *_] if name == CODE:
            return OTHER, ATOM
        case [str(name), *parts] if name in _ARITY and len(parts) == _ARITY[name]:
            if name in _GUARDED and _may_be_negative(parts[0]):
                parts = [["abs", parts[0]], *parts[1:]]
            return _DRAW[name](*parts) if name in _DRAW else (f"{name}({_drawn(parts[0])[0]})", ATOM)
    raise _NoFormula


def _in(expression: Any, least: int) -> str:
    """An argument, in parentheses if its precedence is below `least`."""
    text, strength = _drawn(expression)
    return text if strength >= least else f"({text})"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise _NoFormula
    return f"{value:g}".replace("-", "−") if abs(value) < 1e300 else "∞"


_DRAW: dict[str, Callable[..., Drawn]] = {
    "add": lambda a, b: (f"{_in(a, SUM)} + {_in(b, PRODUCT)}", SUM),
    "sub": lambda a, b: (f"{_in(a, SUM)} − {_in(b, PRODUCT)}", SUM),
    "mul": lambda a, b: (f"{_in(a, PRODUCT)} · {_in(b, PRODUCT)}", PRODUCT),
    "div": lambda a, b: (f"{_in(a, PRODUCT)} / {_in(b, POWER)}", PRODUCT),
    "pow": lambda a, b: (f"{_in(a, ATOM)}^{_number(b)}", POWER),
    "sqr": lambda a: (f"{_in(a, ATOM)}²", POWER),
    "sqrt": lambda a: (f"√{_in(a, ATOM)}", POWER),
    "abs": lambda a: (f"|{_drawn(a)[0]}|", ATOM),
    "neg": lambda a: (f"−{_in(a, PRODUCT)}", SUM),
    "log": lambda a: (f"ln(1 + {_in(a, SUM)})", ATOM),
    "exp": lambda a: (f"exp(min({_drawn(a)[0]}, 10))", ATOM),
    "attention": lambda a, b: (f"({_drawn(a)[0]} in attention layers, {_drawn(b)[0]} in others)", ATOM),
    "exchange": lambda a, b: (f"swaps({_drawn(a)[0]}, {_number(b)})", ATOM),
}
_ARITY = {
    **dict.fromkeys(("add", "mul", "sub", "div", "pow", "attention", "exchange"), 2),
    **dict.fromkeys(("sqr", "sqrt", "abs", "neg", "log", "exp", *FUNCTIONS), 1),
}
_GUARDED = ("div", "pow", "sqrt", "log", "row_share", "column_share")
"""Operators that take the absolute value of their first argument if it may be negative."""
_NEVER_NEGATIVE = ("sqr", "abs", "exp", "minmax", "row_norm", "column_norm")
_SIGNED = ("sub", "neg", "zscore", CODE)


def _may_be_negative(expression: Any) -> bool:
    """Whether an expression may be negative, by its operators alone, as in the symbolic engine."""
    if isinstance(expression, float | int):
        return expression < 0
    match expression:
        case [str(name), first, *rest]:
            if name in _NEVER_NEGATIVE:
                return False
            parts = rest if name in _GUARDED else [first, *rest]
            return name in _SIGNED or any(_may_be_negative(part) for part in parts)
    return False
