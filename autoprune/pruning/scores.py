"""Published scores: importance per weight, higher = keep, as functions of the contract's fields."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.fields import GROUPS
from autoprune.pruning.updates import inverse_factor

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


def magnitude(layer: Any) -> Tensor:
    """|W|; compared within the matrix."""
    return layer.weight.abs()


def wanda(layer: Any) -> Tensor:
    """|W_ij| norm2(X_j) (Sun et al., arXiv 2306.11695); compared within an output row."""
    return layer.weight.abs().mul_(layer.input_norm)


def ria(layer: Any) -> Tensor:
    """(|W_ij| / sum_i |W_ij| + |W_ij| / sum_j |W_ij|) norm2(X_j)^0.5 (Zhang et al., ICLR 2024, RIA with alpha 0.5)."""
    size = layer.weight.abs()
    of_column = size / size.sum(0, keepdim=True).clamp_min(TINY)
    of_row = size.div_(size.sum(1, keepdim=True).clamp_min(TINY))
    return of_row.add_(of_column).mul_(layer.input_norm.sqrt())


def gblm(layer: Any) -> Tensor:
    """|W_ij| norm2(X_j) + |W_ij| |100 G_ij| (Das et al., arXiv 2311.04902), G the mean absolute gradient."""
    return layer.gradient.abs().mul_(100.0).add_(layer.input_norm).mul_(layer.weight.abs())


def pruner_zero(layer: Any) -> Tensor:
    """W^2 minmax(|G|) (Dong et al., arXiv 2406.02924, the best that their search found)."""
    gradient = layer.gradient.abs()
    low, high = gradient.aminmax()
    return gradient.sub_(low).div_((high - low).clamp_min(TINY)).mul_(layer.weight.square())


def sparsegpt(layer: Any) -> Tensor:
    """W_ij^2 / U_jj^2, U the upper factor of the inverse Hessian damped by 1 % (Frantar & Alistarh, arXiv 2301.00774).

    The score of dense weights alone. SparseGPT itself rescores during the update: `updates.sparsegpt`. Inputs that were
    never active score 0.
    """
    factor = inverse_factor(layer.hessian)
    return layer.weight.square().mul_(factor.upper.diagonal().pow(-2) * ~factor.dead)


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score("magnitude", magnitude, "matrix"),
        Score("wanda", wanda, "row"),
        Score("ria", ria, "matrix"),
        Score("gblm", gblm, "row", ("gradient",)),
        Score("pruner-zero", pruner_zero, "row", ("gradient",)),
        Score("sparsegpt", sparsegpt, "matrix", ("hessian",)),
    )
}
"""By name. `group` is the paper's (SparseGPT's own, all rows of 128 columns, is nearest to the matrix)."""


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
