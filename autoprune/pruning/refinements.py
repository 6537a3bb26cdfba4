"""Refinements: improving a mask of any score within the same budget.

`swaps` (SparseSwaps: Zimmer et al., arXiv 2512.10922) lowers the error p H p^T of each row of a layer, p the pruned
part of the row and H the full layer Hessian. With G = p H, bringing back weight j and pruning weight k instead changes
that error by

    -2 w_j G_j + w_j^2 H_jj + 2 w_k G_k + w_k^2 H_kk - 2 w_j w_k H_jk

The paper takes the best pair of a row until none lowers the error. Here a round takes a few pairs at a time, each
chosen by its own two terms and swapped only if the whole change is negative (`swaps.swap_rounds`): nearly the same gain
for a small part of the work.
"""

from torch import Tensor

from autoprune.config_values import SWAP_ROUNDS
from autoprune.errors import UsageError
from autoprune.pruning.swaps import swap_rounds


def swaps(
    weight: Tensor, hessian: Tensor, mask: Tensor, rounds: int = SWAP_ROUNDS, pattern: tuple[int, int] | None = None
) -> Tensor:
    """A new mask [out, in] (bool, True = keep) whose rows have at most the error of the given mask's rows.

    `weight` [out, in] in any floating dtype, `hessian` [in, in] in float32 of any scale, both on the mask's device. The
    number of kept weights is preserved per row, or with a `pattern` (n, m) per m neighbours along the inputs. Weights
    that are zero remain pruned. Deterministic. Raises UsageError if the shapes do not fit.
    """
    inputs = weight.shape[1]
    if mask.shape != weight.shape or hessian.shape != (inputs, inputs):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (weight, hessian, mask))
        raise UsageError(f"a weight, its Hessian and its mask do not have the shapes {shapes}")
    values = weight.detach().float()
    already = values == 0
    fixed = already.float() if bool(already.any()) else None
    kept = swap_rounds(mask.float(), values, hessian, rounds, pattern[1] if pattern else 0, fixed)
    return kept > 0.5


REFINEMENTS = {"swaps": swaps}
"""Refinements by name, all with the arguments of `swaps`."""
