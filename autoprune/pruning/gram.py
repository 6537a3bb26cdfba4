"""Layer Hessians of inputs with unit norm, so that a penalty such as ADMM's fits every layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autoprune.pruning.inverse import check_finite


@dataclass(frozen=True)
class Gram:
    """A layer Hessian D^-1 H D^-1 [in, in] of inputs with unit norm, float32; callers add damping before or after.

    `scale` [in]: the diagonal of D, 1 for inputs that were never active, whose rows and columns are 0.
    """

    matrix: Tensor
    scale: Tensor

    def scaled(self, weight: Tensor) -> Tensor:
        """W D [out, in] in float32, for inputs with unit norm."""
        return weight.detach().float() * self.scale

    def unscaled(self, weight: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """The weight for the inputs as they are, +0.0 where the mask is False."""
        return (weight / self.scale).masked_fill(~mask, 0.0).to(dtype)


def normalised(hessian: Tensor) -> Gram:
    """A Hessian [in, in] (X X^T / tokens; any scale) without damping, with unit diagonal.

    Raises AutoPruneError if it is not finite.
    """
    check_finite(hessian)
    diagonal = hessian.diagonal().float()
    alive = diagonal > 0
    scale = torch.where(alive, diagonal, 1.0).sqrt()
    matrix = hessian.float() / scale[:, None] / scale * alive[:, None] * alive
    return Gram(matrix, scale)
