"""ALPS under a given mask: ADMM with a growing penalty, then preconditioned conjugate gradients on the kept weights.

Meng et al., ALPS: Improved Optimization for Highly Sparse One-Shot Pruning for Large Language Models, arXiv 2406.07831,
and the authors' code. With G the damped Hessian of inputs with unit norm and W0 the dense weight in the same units, an
iteration of ADMM is

    W = (G + rho I)^-1 (G W0 - V + rho D),   D = mask * (W + V / rho),   V = V + rho (W - D)

where all inverses come from one eigendecomposition of G. Then W = mask * W is the start of conjugate gradients on
G W = G W0, restricted to the kept weights of each row. Normalising the inputs is the preconditioner.

In the paper the mask is chosen on the way, too (`alps_own`): the penalty grows while it changes, and the iterations end
when it does not. Under a given mask it grows at the smallest of the paper's rates, for a few iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autoprune.pruning.gram import Gram, normalised
from autoprune.pruning.masks import check_mask
from autoprune.pruning.updates.spec import UpdateSpec

DAMPING = 0.01
RHO = 0.1
STEPS = 3
"""Iterations of ADMM between two changes of the penalty."""
GROWTH = 1.1
ITERATIONS = 30
CONJUGATE = 10
"""Steps of conjugate gradients."""


@dataclass(frozen=True)
class Prepared:
    """A damped Gram matrix G = Q diag(values) Q^T with its eigenvectors `vectors` [in, in], float32."""

    gram: Gram
    vectors: Tensor
    values: Tensor

    def solve(self, right: Tensor, rho: float) -> Tensor:
        """(G + rho I)^-1 applied to rows [out, in]."""
        return (right @ self.vectors).div_(self.values + rho) @ self.vectors.T


def prepare(hessian: Tensor) -> Prepared:
    """Damp by 1 % of the mean diagonal, normalise and decompose a layer Hessian [in, in].

    Raises AutoPruneError if it is not finite.
    """
    damped = hessian.float().clone()
    diagonal = damped.diagonal()
    mean = diagonal.mean()
    diagonal.add_(DAMPING * mean if float(mean) > 0 else 1.0)
    gram = normalised(damped)
    values, vectors = torch.linalg.eigh(gram.matrix.double())
    return Prepared(gram, vectors.float(), values.clamp_min(0.0).float())


def alps(weight: Tensor, mask: Tensor, prepared: Prepared) -> Tensor:
    """A new weight of the given dtype for a given mask [out, in] (bool, True = keep), zero where the mask is False.

    Raises UsageError if the mask does not have the weight's shape.
    """
    check_mask(weight, mask)
    growth = [GROWTH] * (ITERATIONS // STEPS - 1)
    updated, _ = iterate(weight, mask, prepared, lambda sums: mask, lambda changed: growth.pop() if growth else None)
    return prepared.gram.unscaled(on_support(updated, weight, mask, prepared), mask, weight.dtype)


def iterate(
    weight: Tensor,
    mask: Tensor,
    prepared: Prepared,
    mask_of: Callable[[Tensor], Tensor],
    growth: Callable[[int], float | None],
    rho: float = RHO,
) -> tuple[Tensor, Tensor]:
    """W [out, in] of ADMM for inputs with unit norm, and the last mask. `mask`: of the start.

    `mask_of`: from W + V / rho to a mask. `growth`: every STEPS iterations, from the number of places where the mask
    has changed since then to the factor of rho, or None to end.
    """
    scaled = prepared.gram.scaled(weight)
    target = scaled @ prepared.gram.matrix
    sparse, dual = scaled.masked_fill(~mask, 0.0), torch.zeros_like(scaled)
    before = mask
    while True:
        for _ in range(STEPS):
            dense = prepared.solve(target - dual + rho * sparse, rho)
            sums = dense + dual / rho
            mask = mask_of(sums)
            sparse = sums.masked_fill(~mask, 0.0)
            dual += rho * (dense - sparse)
        factor = growth(int((mask != before).sum()))
        if factor is None:
            return dense, mask
        rho *= factor
        before = mask


def on_support(start: Tensor, weight: Tensor, mask: Tensor, prepared: Prepared) -> Tensor:
    """Conjugate gradients on the kept weights of each row, from `start` [out, in] for inputs with unit norm."""
    matrix = prepared.gram.matrix
    solution = start.masked_fill(~mask, 0.0)
    residual = ((prepared.gram.scaled(weight) - solution) @ matrix).masked_fill_(~mask, 0.0)
    direction = residual.clone()
    square = residual.square().sum(1, keepdim=True)
    for _ in range(CONJUGATE):
        product = (direction @ matrix).masked_fill_(~mask, 0.0)
        curvature = (direction * product).sum(1, keepdim=True)
        step = torch.where(curvature > 0, square / curvature, 0.0)  # 0 in rows that are solved
        solution = torch.addcmul(solution, step, direction)
        residual = torch.addcmul(residual, step, product, value=-1)
        following = residual.square().sum(1, keepdim=True)
        ratio = torch.where(square > 0, following / square, 0.0)
        direction = torch.addcmul(residual, ratio, direction)
        square = following
    return solution


SPEC = UpdateSpec("ALPS", prepare, alps, tuned_as="admm")
