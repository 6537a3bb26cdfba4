"""DSnoT: growing and pruning weights by means and variances of the inputs, without the full Hessian.

Dynamic Sparse no Training (Zhang et al., arXiv 2310.08915, section 3). The expected error of an output is
E = sum_j w_j mean(x_j) over the pruned weights j of its row. A cycle brings back the pruned weight that has the sign of
E and the largest |w_j mean(x_j)| / var(x_j), and prunes the kept weight with the smallest Wanda score among those whose
w_k mean(x_k) has the other sign, so that both move E towards zero. A weight that was moved stays where it is.

The authors' code ends a row when |E| is below an absolute threshold, which depends on the length of its sequences. Here
a row ends with the first cycle that would not lower |E|.
"""

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.refinements.spec import RefinementSpec, Statistic

CYCLES = 50
READS = ("input_mean", "input_var", "hessian_diag")


def dsnot(
    weight: Tensor,
    mask: Tensor,
    input_mean: Tensor,
    input_var: Tensor,
    hessian_diag: Tensor,
    pattern: tuple[int, int] | None = None,
    cycles: int = CYCLES,
) -> Tensor:
    """A new mask [out, in] (bool, True = keep) whose rows have at most the expected error |E| of the given mask's rows.

    `weight` [out, in] in any floating dtype; mean, variance and mean square of the inputs, each [in], float32; all on
    the mask's device. The number of kept weights is preserved per row, or with a `pattern` (n, m) per m neighbours
    along the inputs, where the kept weight is pruned for its Wanda score alone. Weights that are zero remain pruned.
    Deterministic. Raises UsageError if the shapes do not fit.
    """
    vectors = (input_mean, input_var, hessian_diag)
    if mask.shape != weight.shape or any(vector.shape != weight.shape[1:] for vector in vectors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (weight, mask, *vectors))
        raise UsageError(f"a weight, its mask and the moments of its inputs do not have the shapes {shapes}")
    values, kept = weight.detach().float(), mask.clone()
    effect = values * input_mean
    worth = effect / input_var.clamp_min(torch.finfo(torch.float32).tiny)
    wanda = values.abs() * hessian_diag.clamp_min(0).sqrt()
    error = (effect * ~kept).sum(1, keepdim=True)
    free = torch.ones_like(kept)
    active = torch.ones_like(error, dtype=torch.bool)
    for _ in range(cycles):
        grown, pruned, possible = _pair(effect, worth, wanda, error.sign(), kept, free, pattern)
        change = effect.gather(1, pruned) - effect.gather(1, grown)
        active = active & possible & ((error + change).abs() < error.abs())
        if not bool(active.any()):
            break
        _set(kept, grown, active, True)
        _set(kept, pruned, active, False)
        for moved in (grown, pruned):
            _set(free, moved, active, False)
        error = error + torch.where(active, change, 0.0)
    return kept


def _pair(
    effect: Tensor,
    worth: Tensor,
    wanda: Tensor,
    sign: Tensor,
    kept: Tensor,
    free: Tensor,
    pattern: tuple[int, int] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The columns to grow and to prune and whether there are such, each [rows, 1]; `sign` of the error [rows, 1]."""
    gain, grown = (worth * sign).masked_fill(kept | ~free | (effect * sign <= 0), -torch.inf).max(1, keepdim=True)
    allowed = kept & free
    if pattern is None:
        allowed &= effect * sign < 0
    else:
        columns = torch.arange(effect.shape[1], device=effect.device)
        allowed &= columns // pattern[1] == grown // pattern[1]
    cost, pruned = wanda.masked_fill(~allowed, torch.inf).min(1, keepdim=True)
    return grown, pruned, (gain > -torch.inf) & (cost < torch.inf)


def _set(flags: Tensor, column: Tensor, where: Tensor, value: bool) -> None:
    """Set the flag of one column [rows, 1] of those rows where `where` [rows, 1] is True."""
    old = flags.gather(1, column)
    flags.scatter_(1, column, torch.where(where, torch.full_like(old, value), old))


def _refine(
    weight: Tensor, mask: Tensor, statistic: Statistic, pattern: tuple[int, int] | None, rounds: int | None
) -> Tensor:
    mean, variance, square = (statistic(name) for name in READS)
    return dsnot(weight, mask, mean, variance, square, pattern)


SPEC = RefinementSpec("DSnoT by means and variances of the inputs", _refine, READS)
