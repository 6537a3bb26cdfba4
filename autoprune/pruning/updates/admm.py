"""ADMM: new values of kept weights by the alternating direction method of multipliers.

Boza, Fast and Effective Weight Update for Pruned Large Language Models, arXiv 2401.02938. With G the
Hessian of inputs with unit norm, damped by 0.1, and W0 the dense weight in the same units, each iteration is

    Z = mask * (W + U),   U = U + W - Z,   W = (G + rho I)^-1 (G W0 + rho (Z - U))

from W = W0 and U = 0, with rho = 1. The result is the last Z. As G has a unit diagonal, rho fits every layer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autoprune.pruning.gram import Gram, normalised
from autoprune.pruning.masks import check_mask
from autoprune.pruning.updates.spec import UpdateSpec

DAMPING = 0.1
RHO = 1.0
ITERATIONS = 20


@dataclass(frozen=True)
class Prepared:
    """A damped Gram matrix with `inverse` = (G + rho I)^-1 [in, in], float32."""

    gram: Gram
    inverse: Tensor


def prepare(hessian: Tensor, damping: float = DAMPING) -> Prepared:
    """Normalise, damp and invert a layer Hessian [in, in]. Raises AutoPruneError if it is not finite."""
    gram = normalised(hessian)
    gram.matrix.diagonal().add_(damping * gram.matrix.diagonal().mean())
    shifted = gram.matrix.clone()
    shifted.diagonal().add_(RHO)
    # All eigenvalues are at least rho, so that this cannot fail but by rounding of a Hessian that is no Gram matrix.
    return Prepared(gram, torch.cholesky_inverse(torch.linalg.cholesky(shifted)))


def admm(weight: Tensor, mask: Tensor, prepared: Prepared, iterations: int = ITERATIONS) -> Tensor:
    """A new weight of the given dtype for a given mask [out, in] (bool, True = keep), zero where the mask is False.

    Raises UsageError if the mask does not have the weight's shape.
    """
    check_mask(weight, mask)
    updated, _ = iterate(weight, prepared, iterations, lambda sums, iteration: mask)
    return prepared.gram.unscaled(updated, mask, weight.dtype)


def iterate(
    weight: Tensor, prepared: Prepared, iterations: int, mask_of: Callable[[Tensor, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """W + U [out, in] after all iterations, for inputs with unit norm, and the last mask.

    `mask_of`: from W + U and the number of the iteration to the mask of that iteration.
    """
    scaled = prepared.gram.scaled(weight)
    constant = scaled @ prepared.gram.matrix @ prepared.inverse  # from the right, since rows are outputs
    primal, dual = scaled.clone(), torch.zeros_like(scaled)
    mask = torch.ones_like(scaled, dtype=torch.bool)
    for iteration in range(iterations):
        sums = primal + dual
        mask = mask_of(sums, iteration)
        kept = sums.masked_fill(~mask, 0.0)
        dual = sums - kept
        primal = torch.addmm(constant, kept - dual, prepared.inverse, alpha=RHO)
    return primal + dual, mask


SPEC = UpdateSpec("ADMM", prepare, admm)
