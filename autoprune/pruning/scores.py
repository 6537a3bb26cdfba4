"""Published scores: importance per weight, higher = keep, as functions of the contract's fields.

The formulas are those of `published`. Here is the arithmetic, in place where it can be: a layer may have a hundred
million weights.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.fields import GROUPS
from autoprune.pruning.inverse import inverse_factor
from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, Expression, evaluate

TINY = torch.finfo(torch.float32).tiny
"""Keeps the quotients of an all-zero row, column or gradient at zero."""


@dataclass(frozen=True)
class Score:
    """A score, what its paper compares it within (row or matrix), and the on-demand statistics that it reads."""

    name: str
    function: Callable[[Any], Tensor]
    group: str
    needs: tuple[str, ...] = ()

    def __call__(self, layer: Any) -> Tensor:
        """Scores [out, in], float32, finite, from a layer with the contract's fields."""
        return self.function(layer)


INPUTS: dict[str, Callable[[Any], Tensor]] = {
    "W": lambda layer: layer.weight.abs(),
    "G": lambda layer: layer.gradient.abs(),
    "X": lambda layer: layer.input_norm.clone(),
}
"""What an expression reads of a layer, as tensors of its own, which the operators may change."""


def _larger_first(a: Tensor, b: Tensor | float) -> tuple[Tensor, Tensor | float]:
    """Two arguments in an order in which the first can take the result."""
    return (b, a) if isinstance(b, Tensor) and b.ndim > a.ndim else (a, b)


def _minmax(matrix: Tensor) -> Tensor:
    low, high = matrix.aminmax()
    return matrix.sub_(low).div_((high - low).clamp_min(TINY))


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "add": lambda a, b: operator.iadd(*_larger_first(a, b)),
    "mul": lambda a, b: operator.imul(*_larger_first(a, b)),
    "pow": Tensor.pow_,
    "sqr": Tensor.square_,
    "row_share": lambda matrix: matrix.div_(matrix.sum(1, keepdim=True).clamp_min(TINY)),
    "column_share": lambda matrix: matrix.div_(matrix.sum(0, keepdim=True).clamp_min(TINY)),
    "minmax": _minmax,
}


def by_expression(expression: Expression, layer: Any) -> Tensor:
    """The scores [out, in] that an expression gives to a layer with the contract's fields."""
    scores: Tensor = evaluate(expression, lambda name: INPUTS[name](layer), OPERATORS)
    return scores


def sparsegpt(layer: Any) -> Tensor:
    """W_ij^2 / U_jj^2, U the upper factor of the inverse Hessian damped by 1 % (Frantar & Alistarh, arXiv 2301.00774).

    The score of dense weights alone. SparseGPT itself rescores during the update: `updates.obs.sparsegpt`. Inputs that
    were never active score 0.
    """
    factor = inverse_factor(layer.hessian)
    return layer.weight.square().mul_(factor.upper.diagonal().pow(-2) * ~factor.dead)


FUNCTIONS: dict[str, Callable[[Any], Tensor]] = {
    **{name: partial(by_expression, expression) for name, expression in EXPRESSIONS.items()},
    "sparsegpt": sparsegpt,
}
SCORES: dict[str, Score] = {
    name: Score(name, FUNCTIONS[name], score.group, score.needs) for name, score in PUBLISHED.items()
}
"""By name."""
wanda = SCORES["wanda"]
"""|W_ij| norm2(X_j), which signals of units rest on, too."""


def choose_score(name: str) -> Score:
    """The published score NAME, or NAME@GROUP with another group than its paper's (row, matrix).

    Raises UsageError for an unknown name or group.
    """
    base, at, group = name.partition("@")
    if base not in SCORES:
        raise UsageError(f"unknown score {base!r}; there are {', '.join(SCORES)}")
    if not at:
        return SCORES[base]
    if group not in GROUPS:
        raise UsageError(f"scores are compared within {' or '.join(GROUPS)}, not {group!r}")
    return replace(SCORES[base], name=name, group=group)
