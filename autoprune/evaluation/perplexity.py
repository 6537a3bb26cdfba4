"""Perplexity, by the protocol that pruning papers share, said here once and done in one function.

The split's text is tokenised once and cut into non-overlapping windows of `seqlen` tokens. A window's loss is the mean
cross-entropy over its seqlen - 1 predicted positions; perplexity is exp(mean of the windows' losses). Numbers with a
different seqlen cannot be compared. A token before each window (`bos`) changes what the model sees, not which tokens
count.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from autoprune.errors import UsageError
from autoprune.models.blocks import text_config
from autoprune.models.target import Target
from autoprune.models.walk import passed_through
from autoprune.runs.measurement import perplexity as perplexity

BYTES = 8
"""Of the numbers that stand side by side in the batch of a forward pass. Larger batches gain nothing on the CPU, and
cost memory for logits."""
POSITIONS = 64
"""Positions whose losses are computed together."""


def known_positions(target: Target) -> int | None:
    """How many positions the model knows; None where its configuration does not say."""
    positions: int | None = getattr(text_config(target.model), "max_position_embeddings", None)
    return positions


def check_length(target: Target, seqlen: int, bos: str = "") -> None:
    """Raises UsageError when the model knows fewer positions than a window has, the token `bos` before it included."""
    positions = known_positions(target)
    if positions is not None and seqlen + bool(bos) > positions:
        preceded = f" preceded by {bos}" if bos else ""
        raise UsageError(
            f"{target.name} knows {positions} positions, so windows of {seqlen} tokens{preceded} are too long for it"
        )


def windows_per_pass(dtype: torch.dtype) -> int:
    """2 in float32, 4 in bfloat16, where passes are the faster for it if the processor multiplies that in hardware.

    The sums of a pass in bfloat16 depend on it in their last bits, and a loss with them.
    """
    return max(BYTES // dtype.itemsize, 1)


def window_losses(
    target: Target, windows: Tensor, advance: Callable[[], None] = lambda: None, lead: int = 0
) -> list[float]:
    """The mean cross-entropy in nats of each window; `windows` is int64 [windows, lead + seqlen].

    `lead`: tokens in front of each window's text, which the model sees and which count for nothing.
    Where blocks come and go, all windows pass one block before the next one comes: the same losses, to the bit.
    """
    size = windows_per_pass(target.dtype)
    whole = (batch.to(target.device) for batch in windows.split(size))
    losses: list[float] = []
    for batch in passed_through(target, windows, size) if target.offloaded else whole:
        for loss in _batch_losses(target, batch, lead):
            losses.append(loss)
            advance()
    return losses


@torch.inference_mode()
def _batch_losses(target: Target, tokens: Tensor, lead: int) -> list[float]:
    """A function of its own, so that one batch's logits are freed before the next are made."""
    logits = target.model(tokens, use_cache=False).logits
    return [
        _loss(window_logits[lead:-1], window[lead + 1 :]) for window_logits, window in zip(logits, tokens, strict=True)
    ]


def _loss(logits: Tensor, tokens: Tensor) -> float:
    """Mean cross-entropy of logits [positions, vocabulary] in float32, a few positions at a time: they stay in the
    processor's cache, and no window's logits are held in float32 as a whole."""
    pieces = zip(logits.split(POSITIONS), tokens.split(POSITIONS), strict=True)
    return float(torch.cat([functional.cross_entropy(a.float(), b, reduction="none") for a, b in pieces]).mean())
