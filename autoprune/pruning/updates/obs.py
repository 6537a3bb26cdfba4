"""OBS as in SparseGPT: compensating pruned weights in the kept ones.

Source: Frantar & Alistarh, SparseGPT, arXiv 2301.00774. Columns are visited from left to right; the error of a pruned
weight is compensated in the columns to its right of the same row, by U, the upper Cholesky factor of the inverse layer
Hessian. Here the columns are split recursively instead of in two nested loops, which computes the same sums, mostly as
matrix products.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.allocation.budget import matrix_zeros
from autoprune.pruning.inverse import InverseFactor, inverse_factor
from autoprune.pruning.masks import check_mask, matrix_mask, nm_mask
from autoprune.pruning.updates.spec import UpdateSpec

BLOCK = 128


def obs(weight: Tensor, mask: Tensor, factor: InverseFactor) -> Tensor:
    """Prune by a given mask [out, in] (True = keep) and compensate in the kept weights.

    Returns a new weight of the given dtype, which is zero where the mask is False (and where a kept weight becomes
    zero). Raises UsageError if the mask does not have the weight's shape.
    """
    check_mask(weight, mask)
    columns = weight.detach().T.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    sweep = _Sweep(columns, ~mask.T.contiguous(), factor)
    sweep.run(0, len(columns), (BLOCK,))
    return columns.T.contiguous().to(weight.dtype)


def sparsegpt(
    weight: Tensor, zeros: int, factor: InverseFactor, pattern: tuple[int, int] | None = None, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """SparseGPT itself, which chooses masks among weights that are already compensated.

    Scores W_ij^2 / U_jj^2 are compared within `block` columns over all rows, where each block has its exact share of
    `zeros`, or with a pattern within m columns of a row. Returns the new weight (of the given dtype) and its mask, both
    [out, in]. Inputs that were never active are pruned first.
    """
    rows, cols = weight.shape
    columns = weight.detach().T.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    pruned = torch.zeros_like(columns, dtype=torch.bool)
    worth = (factor.upper.diagonal().reciprocal().square() * ~factor.dead)[:, None]
    sweep = _Sweep(columns, pruned, factor)
    if pattern is not None:
        n, m = pattern
        if cols % m:
            raise UsageError(f"a pattern of {n}:{m} needs in_features divisible by {m}, not {cols}")

        def choose(start: int, end: int) -> None:
            score = columns[start:end].square() * worth[start:end]
            pruned[start:end] = ~nm_mask(score.T.contiguous(), n, m).T

        sweep.run(0, cols, (max(BLOCK // m, 1) * m, m), choose)
    else:
        starts = range(0, cols, block)
        shares = dict(zip(starts, matrix_zeros(zeros, [rows * min(block, cols - at) for at in starts]), strict=True))

        def choose(start: int, end: int) -> None:
            score = columns[start:end].square() * worth[start:end]
            pruned[start:end] = ~matrix_mask(score, shares[start])

        sweep.run(0, cols, (block,), choose)
    return columns.T.contiguous().to(weight.dtype), ~pruned.T.contiguous()


class _Sweep:
    """One pass over the columns, in place: `columns` and `pruned` are [in, out], so that a column is contiguous."""

    def __init__(self, columns: Tensor, pruned: Tensor, factor: InverseFactor) -> None:
        self.columns = columns
        self.pruned = pruned
        self.upper = factor.upper
        self.diagonal = factor.upper.diagonal().tolist()
        self.errors = torch.zeros_like(columns)

    def run(
        self, start: int, end: int, grains: tuple[int, ...], choose: Callable[[int, int], None] | None = None
    ) -> None:
        """Prune and compensate columns start to end, which are already compensated for all columns to their left.

        Ranges are split at multiples of the first grain, then of the next, then anywhere; `choose(start, end)` sets the
        mask of a range of the last grain.
        """
        while grains and end - start <= grains[0]:
            if len(grains) == 1 and choose is not None:
                choose(start, end)
            grains = grains[1:]
        if end - start == 1:
            column, error = self.columns[start], self.errors[start]
            torch.mul(column, self.pruned[start], out=error)
            column.sub_(error)
            error.div_(self.diagonal[start])
            return
        grain = grains[0] if grains else 1
        middle = start + -(-(end - start) // (2 * grain)) * grain
        self.run(start, middle, grains, choose)
        self.columns[middle:end].addmm_(self.upper[start:middle, middle:end].T, self.errors[start:middle], alpha=-1)
        self.run(middle, end, grains, choose)


SPEC = UpdateSpec("OBS, as in SparseGPT", inverse_factor, obs, sparsegpt, chooses_with="sparsegpt")
