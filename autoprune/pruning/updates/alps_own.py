"""ALPS with masks of its own, as in the paper: the mask is chosen while the weights are updated.

Meng et al., arXiv 2406.07831, and the authors' code. The mask keeps the largest |W + V / rho| of the whole matrix for
inputs with unit norm, or of m neighbours under a pattern; at first these are Wanda's scores. Every third iteration of
`alps.iterate` the penalty rho grows by 1.3, 1.2 or 1.1 as many, some or few places of the mask have changed, relative
to the number of kept weights; the iterations end when hardly any has. If few have changed in the first three
iterations, rho is too large, and they start again with a fifth of it.
"""

from torch import Tensor

from autoprune.pruning.masks import matrix_mask, nm_mask
from autoprune.pruning.updates.alps import RHO, STEPS, Prepared, iterate, on_support, prepare
from autoprune.pruning.updates.spec import UpdateSpec

FEW = 0.005
GROWTH = ((0.1, 1.3), (FEW, 1.2), (0.0, 1.1))
"""Share of changed places, above which the penalty grows by a factor."""
RESTARTS = 20
SETTLED = 0.0003
"""The share of changed places that ends the iterations after SWITCH of them."""
SWITCH = 30
MOST = 300
"""Iterations."""


def alps_own(
    weight: Tensor, zeros: int, prepared: Prepared, pattern: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """The new weight of the given dtype and its mask, both [out, in], with `zeros` pruned weights or a pattern (n, m).

    Raises UsageError if the zeros do not fit, or m does not divide the inputs.
    """

    def mask_of(values: Tensor) -> Tensor:
        score = values.abs()
        return nm_mask(score, *pattern) if pattern is not None else matrix_mask(score, zeros)

    start = mask_of(prepared.gram.scaled(weight))
    kept, rho = max(int(start.sum()), 1), RHO
    for _ in range(RESTARTS):
        penalty = _Penalty(kept)
        dense, _ = iterate(weight, start, prepared, mask_of, penalty.growth, rho)
        if not penalty.too_large:
            break
        rho /= 5
    mask = mask_of(dense)
    return prepared.gram.unscaled(on_support(dense, weight, mask, prepared), mask, weight.dtype), mask


class _Penalty:
    """The growth of rho in one run. `too_large`: the run has ended since rho was too large from the start."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.iterations = 0
        self.too_large = False

    def growth(self, changed: int) -> float | None:
        """The factor of rho after `changed` places have changed in STEPS iterations, or None to end the run."""
        self.iterations += STEPS
        share = changed / self.kept
        self.too_large = self.iterations == STEPS and share <= FEW
        settled = changed == 0 or (self.iterations > SWITCH and share < SETTLED)
        if self.too_large or settled or self.iterations >= MOST:
            return None
        return next(factor for least, factor in GROWTH if share > least)


SPEC = UpdateSpec("ALPS with a mask of its own", prepare, choose=alps_own, chooses_with="wanda", tuned_as="admm-own")
