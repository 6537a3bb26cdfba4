"""Score expressions: small typed trees over what a candidate is given, and the readable source they stand for.

An expression is a number, the name of a terminal, or a tuple (operator, argument, ...). A value is a matrix [out, in],
a row vector [in], a column [out, 1] or a constant; they broadcast as in torch. Every operator is total: logarithms,
roots and quotients are guarded, so that finite inputs give finite scores. `exchange` improves the mask of a score by
the full Hessian; it can only be the outermost operator.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Expression = float | str | tuple[Any, ...]

TERMINALS = {
    "W": ("layer.weight.abs()", "matrix", "|weight|"),
    "X": ("layer.input_norm", "row", "input norm"),
    "M": ("layer.input_mean.abs()", "row", "|input mean|"),
    "V": ("layer.input_var", "row", "input variance"),
    "H": ("layer.hessian_diag", "row", "Hessian diagonal"),
}
"""Name -> (torch source, shape, how people call it). All are non-negative."""


@dataclass(frozen=True)
class Operator:
    """One operator: torch source by position, and whether its value can be negative when its arguments cannot."""

    template: str
    arity: int
    keeps_sign: bool = True
    guards: bool = False


OPERATORS = {
    "add": Operator("({0} + {1})", 2),
    "mul": Operator("({0} * {1})", 2),
    "sub": Operator("({0} - {1})", 2, keeps_sign=False),
    "div": Operator("({0} / ({1} + EPS))", 2, guards=True),
    "pow": Operator("{0}.pow({1})", 2, guards=True),
    "sqr": Operator("{0}.square()", 1),
    "sqrt": Operator("{0}.sqrt()", 1, guards=True),
    "log": Operator("{0}.log1p()", 1, guards=True),
    "tanh": Operator("{0}.tanh()", 1),
    "row_share": Operator("({0} / ({0}.sum(dim=-1, keepdim=True) + EPS))", 1, guards=True),
    "column_share": Operator("({0} / ({0}.sum(dim=0, keepdim=True) + EPS))", 1, guards=True),
    "minmax": Operator("minmax({0})", 1),
    "zscore": Operator("zscore({0})", 1, keeps_sign=False),
    "exchange": Operator("exchange({0}, layer, GROUP)", 1),
}
"""`guards`: the argument is made non-negative first, where it is not so already."""

OUTERMOST = ("exchange",)


def _part(name: str) -> str:
    """A helper that has a file of its own: candidates get its text, this program never imports it."""
    text = files("autoprune.agents.symbolic").joinpath(f"parts/{name}.py").read_text(encoding="utf-8")
    return text.removeprefix("import torch\n\n")


_HELPERS = {
    "minmax": "def minmax(x):\n    return (x - x.min()) / (x.max() - x.min() + EPS)\n",
    "zscore": "def zscore(x):\n    return (x - x.mean()) / (x.std() + EPS)\n",
    "exchange": _part("exchange"),
}

SEEDS: dict[str, tuple[Expression, str]] = {
    "magnitude": ("W", "matrix"),
    "wanda": (("mul", "W", "X"), "row"),
}
"""The published scores that the search starts from: name -> (expression, GROUP)."""


def freeze(tree: Any) -> Expression:
    """An expression from what JSON made of it (lists become tuples)."""
    return tuple(freeze(part) for part in tree) if isinstance(tree, list) else tree


def shape(expression: Expression) -> str:
    """constant, row, or matrix: what the expression's value is before broadcasting to the weight."""
    if isinstance(expression, str):
        return TERMINALS[expression][1]
    if isinstance(expression, tuple):
        shapes = {shape(argument) for argument in expression[1:]}
        return next((kind for kind in ("matrix", "row") if kind in shapes), "constant")
    return "constant"


def size(expression: Expression) -> int:
    """Number of nodes of the tree."""
    return 1 + sum(size(argument) for argument in expression[1:]) if isinstance(expression, tuple) else 1


def simplify(expression: Expression) -> Expression:
    """Drop pairs that cancel (a root of a square of something non-negative, doubled normalisations)."""
    if not isinstance(expression, tuple):
        return expression
    operator, *arguments = expression
    arguments = [simplify(argument) for argument in arguments]
    inner = arguments[0][0] if isinstance(arguments[0], tuple) else None
    if (operator, inner) in {("sqrt", "sqr"), ("sqr", "sqrt")}:
        return arguments[0][1]
    if operator == inner and operator in {"minmax", "zscore", "row_share", "column_share"}:
        return arguments[0]
    if operator == "pow" and inner == "pow":
        return ("pow", arguments[0][1], round(arguments[0][2] * arguments[1], 3))
    if operator == "pow" and arguments[1] == 1.0:
        return arguments[0]
    return (operator, *arguments)


def formula(expression: Expression) -> str:
    """The expression for people, on one line: `mul(|weight|, pow(input norm, 0.5))`."""
    if isinstance(expression, str):
        return TERMINALS[expression][2]
    if isinstance(expression, tuple):
        return f"{expression[0]}({', '.join(formula(argument) for argument in expression[1:])})"
    return f"{expression:g}"


def source(expression: Expression, group: str) -> str:
    """A candidate's source for a matrix-valued expression. Raises ValueError for another shape."""
    if shape(expression) != "matrix":
        raise ValueError(f"{formula(expression)} is no matrix")
    body = _render(expression)
    helpers = "\n\n".join(code for name, code in _HELPERS.items() if f"{name}(" in body)
    names = {name for name in TERMINALS if re.search(rf"\b{name}\b", body)}
    inputs = "".join(f"    {name} = {TERMINALS[name][0]}\n" for name in TERMINALS if name in names)
    body = body[1:-1] if body.startswith("(") and _closes_at_end(body) else body
    parts = [f'"""Score: {formula(expression)}."""\n', f'GROUP = "{group}"\n']
    if "torch." in helpers:
        parts.insert(1, "import torch\n")
    if "EPS" in body or "EPS" in helpers:
        parts.append("EPS = 1e-8\n")
    if helpers:
        parts.append(f"\n{helpers}")
    parts.append(f"\ndef score(layer):\n{inputs}    return {body}\n")
    return "\n".join(parts)


def _render(expression: Expression) -> str:
    if isinstance(expression, str):
        return expression
    if not isinstance(expression, tuple):
        return f"{expression:g}"
    operator = OPERATORS[expression[0]]
    arguments = []
    for argument in expression[1:]:
        text = _render(argument)
        guarded = operator.guards and isinstance(argument, tuple) and not _non_negative(argument)
        arguments.append(f"{text}.abs()" if guarded else text)
    return operator.template.format(*arguments)


def _non_negative(expression: Expression) -> bool:
    if isinstance(expression, tuple):
        operator = OPERATORS[expression[0]]
        return expression[0] == "sqr" or (
            operator.keeps_sign and (operator.guards or all(_non_negative(argument) for argument in expression[1:]))
        )
    return isinstance(expression, str) or expression >= 0


def _closes_at_end(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False
