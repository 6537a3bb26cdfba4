"""Checks of what a candidate's `refine` and `update` return, on the trusted side's copy.

Every check raises Broken, which the session turns into the candidate's failure.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Broken(Exception):
    """A mask or a weight breaks the contract. `reason`: as in CandidateFailure."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def refined_mask(answer: "Tensor", given: "Tensor", group: str, pattern: str) -> "Tensor":
    """A refined mask [out, in], bool, from the bytes [out, in] of the answer, with the budget of the `given` mask.

    Within each row (GROUP row), the matrix (GROUP matrix) or each group of M neighbours (`pattern` N:M) as many weights
    must be kept as before.
    """
    import torch

    if int(answer.max()) > 1:
        raise Broken("dtype", "the refined mask holds bytes other than 0 and 1")
    before, after = given.view(torch.uint8), answer
    if pattern != "none":
        shape, where = (-1, int(pattern.partition(":")[2])), f"groups of {pattern}"
    elif group == "row":
        shape, where = (len(given), -1), "rows"
    else:
        shape, where = (1, -1), "matrices"
    kept, wanted = (mask.reshape(shape).sum(1, dtype=torch.int64) for mask in (after, before))
    if changed := int((kept != wanted).sum()):
        place = int((kept != wanted).nonzero()[0])
        example = f"{int(kept[place])} instead of {int(wanted[place])}"
        message = f"refine changed the number of kept weights in {changed} of {len(kept)} {where}, first {example}"
        raise Broken("contract", message)
    return answer.view(torch.bool)


def updated_weight(answer: "Tensor", mask: "Tensor", dtype: "torch.dtype") -> "Tensor":
    """An updated weight [out, in] in the model's `dtype`, from the float32 copy of the answer: finite in both, and
    +0.0 where the mask is False."""
    import torch

    from autoprune.pruning.masks import masked_weight

    if not _is_finite(answer):
        counts = f"{int(answer.isnan().sum())} NaN and {int(answer.isinf().sum())} infinite"
        raise Broken("not-finite", f"update returned {counts} of {answer.numel()} weights")
    kept = masked_weight(answer, mask)
    if filled := int((kept != answer).sum()):  # -0.0 equals 0.0
        raise Broken("contract", f"update returned {filled} weights that are not 0 where the mask is False")
    rounded = kept.to(dtype)
    if not _is_finite(rounded):
        name, largest = str(dtype).removeprefix("torch."), float(answer.abs().max())
        least = f"the largest it returned is {largest:.3g}"
        most = f"{torch.finfo(dtype).max:.3g}"
        raise Broken(
            "not-finite", f"update returned weights that overflow in the model's {name}, at most {most}: {least}"
        )
    return rounded


def _is_finite(tensor: "Tensor") -> bool:
    low, high = tensor.aminmax()  # NaN if any value is
    return math.isfinite(low) and math.isfinite(high)
