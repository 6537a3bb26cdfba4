"""Inverses of layer Hessians, as triangular factors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autoprune.errors import AutoPruneError

DAMPING = 0.01
DAMPING_LIMIT = 10.0


@dataclass(frozen=True)
class InverseFactor:
    """U [in, in], float32, upper triangular, with U^T U = (H + damping mean(diag H) I)^-1.

    `damping`: the applied damping, as a share of the mean diagonal; `dead` [in]: inputs that were never active, which
    neither cause nor receive compensation.
    """

    upper: Tensor
    damping: float
    dead: Tensor


def check_finite(hessian: Tensor) -> None:
    """Raise AutoPruneError for a layer Hessian [in, in] with inf or NaN."""
    if not bool(hessian.isfinite().all()):
        raise AutoPruneError("the layer Hessian holds inf or NaN; run the calibration in float32 or bfloat16")


def inverse_factor(hessian: Tensor, damping: float = DAMPING) -> InverseFactor:
    """Factor the inverse of a damped layer Hessian [in, in] (X X^T / tokens; any scale).

    Tries float32, then float64, then float64 with ten times the damping repeatedly, up to ten times the mean diagonal.
    Raises AutoPruneError if the Hessian is not finite, or not positive definite even then.
    """
    check_finite(hessian)
    diagonal = hessian.diagonal()
    dead = diagonal <= 0
    scale = float(diagonal[~dead].double().mean()) if not bool(dead.all()) else 1.0
    # Dead inputs become independent ones, so that a Hessian without tokens can be factored.
    alive = hessian * (~dead)[:, None] * (~dead)
    attempts = [(torch.float32, damping), (torch.float64, damping)]
    while (more := max(attempts[-1][1], 1e-6) * 10) <= DAMPING_LIMIT:
        attempts.append((torch.float64, more))
    for dtype, share in attempts:
        damped = alive.to(dtype, copy=True)
        damped.diagonal().add_(share * scale + dead * scale)
        # Factoring the flipped matrix gives H = A A^T with A upper, hence U = A^-1 without computing H^-1.
        lower, info = torch.linalg.cholesky_ex(damped.flip(0, 1))
        if int(info) == 0:
            identity = torch.eye(len(lower), dtype=dtype, device=lower.device)
            upper = torch.linalg.solve_triangular(lower, identity, upper=False).flip(0, 1).float()
            if bool(upper.isfinite().all()):
                return InverseFactor(upper.contiguous(), share, dead)
    raise AutoPruneError(
        f"the layer Hessian is not positive definite, even in float64 with {attempts[-1][1]:.0%} damping; "
        "use more calibration text, or no update for this layer"
    )
