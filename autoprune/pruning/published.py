"""Published scores, each formula stated once. No torch here.

`scores` computes them on tensors. The symbolic engine starts from these expressions, static analysis recognises them,
and settings, completion and errors take their names from here.

An expression is a number, the name of an input, or a tuple (operator, argument, ...). The inputs are W = |weight| and
G = |gradient|, matrices [out, in], and X = input_norm, a row [in]. Of the operators `sqr` squares, `row_share` and
`column_share` divide each entry by the sum of its row or column, and `minmax` maps a matrix onto [0, 1].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Expression = float | str | tuple[Any, ...]


@dataclass(frozen=True)
class PublishedScore:
    """A published score. `group`: within what its paper compares weights (row or matrix). `title`: for people.

    `expression`: None for a score that is more than an expression. `needs`: the on-demand statistics that it reads.
    """

    name: str
    title: str
    expression: Expression | None
    group: str
    source: str = ""
    needs: tuple[str, ...] = ()


PUBLISHED: dict[str, PublishedScore] = {
    score.name: score
    for score in (
        PublishedScore("magnitude", "magnitude", "W", "matrix"),
        PublishedScore("wanda", "Wanda", ("mul", "W", "X"), "row", "Sun et al., arXiv 2306.11695"),
        PublishedScore(
            "ria",
            "RIA",
            ("mul", ("add", ("row_share", "W"), ("column_share", "W")), ("pow", "X", 0.5)),
            "matrix",
            "Zhang et al., ICLR 2024, with alpha 0.5",
        ),
        PublishedScore(
            "gblm",
            "GBLM",
            ("mul", "W", ("add", "X", ("mul", "G", 100.0))),
            "row",
            "Das et al., arXiv 2311.04902, G the mean absolute gradient",
            ("gradient",),
        ),
        PublishedScore(
            "pruner-zero",
            "Pruner-Zero",
            ("mul", ("sqr", "W"), ("minmax", "G")),
            "row",
            "Dong et al., arXiv 2406.02924, the best that their search found",
            ("gradient",),
        ),
        # SparseGPT's own group, all rows of 128 columns, is nearest to the matrix.
        PublishedScore("sparsegpt", "SparseGPT", None, "matrix", "Frantar & Alistarh, arXiv 2301.00774", ("hessian",)),
    )
}
EXPRESSIONS: dict[str, Expression] = {
    name: score.expression for name, score in PUBLISHED.items() if score.expression is not None
}
"""Those that are an expression: the baselines of a search, and the seeds of the symbolic engine."""


def evaluate(expression: Expression, read: Callable[[str], Any], operators: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of an expression: `read` gives the inputs by name, `operators` the arithmetic."""
    if isinstance(expression, str):
        return read(expression)
    if not isinstance(expression, tuple):
        return expression
    operator, *arguments = expression
    return operators[operator](*(evaluate(argument, read, operators) for argument in arguments))


_NAMES = {"W": "|W|", "G": "|gradient|", "X": "X"}
_WRITTEN: dict[str, Callable[..., str]] = {
    "add": lambda a, b: f"({a} + {b})",
    "mul": lambda a, b: f"{b:g} {a}" if isinstance(b, float) else f"{a} {b}",
    "pow": lambda a, b: f"{a}^{b:g}",
    "sqr": lambda a: f"{a}^2",
    "row_share": lambda a: f"{a} / row sum",
    "column_share": lambda a: f"{a} / column sum",
    "minmax": lambda a: f"minmax({a})",
}


def written(expression: Expression) -> str:
    """An expression on one line: `|W| (X + 100 |gradient|)`."""
    return str(evaluate(expression, _NAMES.__getitem__, _WRITTEN))
