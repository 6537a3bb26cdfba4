"""ADMM with masks of its own, which grow while the weights are updated.

Boza, arXiv 2401.02938, and the author's code: in the first 15 of 20 iterations of `admm` the smallest |W + U| are
pruned, for inputs with unit norm, up to a sparsity that rises by the cubic schedule s - s (1 - k / 15)^3. In the first
iteration, these are Wanda's scores. The share is the same in every row, as in Wanda, and exact. Under a pattern N:M the
smallest of those that the pattern does not keep are pruned on the way.
"""

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.masks import matrix_mask, nm_mask, row_mask
from autoprune.pruning.updates.admm import ITERATIONS, Prepared, iterate, prepare
from autoprune.pruning.updates.spec import UpdateSpec

GROWING = 15
"""Iterations in which the mask changes."""


def admm_own(
    weight: Tensor, zeros: int, prepared: Prepared, pattern: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """The new weight of the given dtype and its mask, both [out, in], with `zeros` pruned weights or a pattern (n, m).

    Raises UsageError if the zeros do not fit, or m does not divide the inputs.
    """
    total = zeros if pattern is None else _zeros_of(weight, pattern)
    mask = torch.ones_like(weight, dtype=torch.bool)

    def grown(sums: Tensor, iteration: int) -> Tensor:
        nonlocal mask
        if iteration < GROWING:
            score = sums.abs()
            now = total - round(total * (1 - (iteration + 1) / GROWING) ** 3)
            if pattern is None:
                mask = row_mask(score, now)
            else:
                mask = matrix_mask(score.masked_fill(nm_mask(score, *pattern), torch.inf), now)
        return mask

    updated, mask = iterate(weight, prepared, ITERATIONS, grown)
    return prepared.gram.unscaled(updated, mask, weight.dtype), mask


def _zeros_of(weight: Tensor, pattern: tuple[int, int]) -> int:
    n, m = pattern
    if weight.shape[1] % m:
        raise UsageError(f"a pattern of {n}:{m} needs in_features divisible by {m}, not {weight.shape[1]}")
    return weight.numel() // m * (m - n)


SPEC = UpdateSpec("ADMM with a gradual mask of its own", prepare, choose=admm_own, chooses_with="wanda")
