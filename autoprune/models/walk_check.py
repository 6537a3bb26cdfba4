"""The check that passing the decoder blocks one at a time equals a whole forward pass."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoprune.errors import UsageError, first_line
from autoprune.models.passages import through_all_blocks

if TYPE_CHECKING:
    from autoprune.models.target import Target

_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)
"""What the code of a model raises for unexpected outputs of a block."""


def check_walk(target: "Target") -> None:
    """Raises UsageError if the blocks of a target cannot be passed one at a time. Costs two short passes, once.

    Two batches of two windows pass each block twice, and the logits of both are compared with those of a whole pass, so
    that arguments or states of the wrong batch are detected.
    """
    first_pass = target.first_pass
    if first_pass.fault:
        raise _refused(target, first_pass.fault)
    if first_pass.walked:
        return
    try:
        differs = _differs(target, first_pass.tokens)
    except torch.OutOfMemoryError:
        raise
    except _FAULTS as error:
        raise _refused(target, first_line(error)) from None
    if differs:
        raise _refused(target, "the logits differ from those of a whole pass")
    first_pass.walked = True


@torch.inference_mode()
def _differs(target: "Target", tokens: Tensor) -> bool:
    expected = target.model(tokens.to(target.device), use_cache=False).logits
    orders = [0, 1], [1, 0]
    batches = through_all_blocks(target, [tokens[order] for order in orders], turns=2)
    logits = [target.model(batch, use_cache=False).logits for batch in batches]
    return not all(_equal(batch_logits, expected[order]) for batch_logits, order in zip(logits, orders, strict=True))


def _equal(actual: Tensor, expected: Tensor) -> bool:
    """The sums are the same in the same order, except in experts, whose tokens are in another order."""
    tolerance = 1e-4 if expected.dtype == torch.float32 else 1e-2
    scale = float(expected[expected.isfinite()].abs().max()) if bool(expected.isfinite().any()) else 0.0
    return torch.allclose(actual.float(), expected.float(), rtol=0.0, atol=tolerance * scale, equal_nan=True)


def _refused(target: "Target", why: str) -> UsageError:
    return UsageError(
        f"{target.name} is a {type(target.model).__name__}, whose decoder blocks cannot be passed one at a time "
        f"({why}); it can be evaluated with offload=none, but not pruned"
    )
