"""Perplexity by the protocol of pruning papers.

The text of a split is tokenised once and cut into non-overlapping windows of `seqlen` tokens. A window's loss is the
mean cross-entropy over its seqlen - 1 predicted positions; perplexity is exp(mean of the windows' losses). Perplexities
with different seqlen are not comparable. A token before each window (`bos`) does not change which tokens count.
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
"""Size of one element over all windows of a batch. Larger batches gain nothing on the CPU and need memory for
logits."""
POSITIONS = 64
"""Positions whose losses are computed at a time."""


def max_positions(target: Target) -> int | None:
    """The maximum number of positions in the model's configuration, or None."""
    positions: int | None = getattr(text_config(target.model), "max_position_embeddings", None)
    return positions


def check_length(target: Target, seqlen: int, bos: str = "") -> None:
    """Raises UsageError if a window, with `bos` before it, has more positions than the model supports."""
    positions = max_positions(target)
    if positions is not None and seqlen + bool(bos) > positions:
        preceded = f" preceded by {bos}" if bos else ""
        raise UsageError(
            f"{target.name} knows {positions} positions, so windows of {seqlen} tokens{preceded} are too long for it"
        )


def windows_per_pass(dtype: torch.dtype) -> int:
    """The batch size of forward passes: 2 in float32, 4 in bfloat16, whose losses depend on it in their last bits."""
    return max(BYTES // dtype.itemsize, 1)


def window_losses(
    target: Target, windows: Tensor, advance: Callable[[], None] = lambda: None, lead: int = 0
) -> list[float]:
    """The mean cross-entropy in nats of each window; `windows` is int64 [windows, lead + seqlen].

    `lead`: tokens before the text of each window, which are not counted. With offloaded blocks, all windows pass one
    block before the next is loaded, which gives identical losses.
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
    """A separate function, so that the logits of a batch are freed before the next."""
    logits = target.model(tokens, use_cache=False).logits
    return [
        _loss(window_logits[lead:-1], window[lead + 1 :]) for window_logits, window in zip(logits, tokens, strict=True)
    ]


def _loss(logits: Tensor, tokens: Tensor) -> float:
    """Mean cross-entropy of logits [positions, vocabulary] in float32, a few positions at a time, which fit the
    cache."""
    pieces = zip(logits.split(POSITIONS), tokens.split(POSITIONS), strict=True)
    return float(torch.cat([functional.cross_entropy(a.float(), b, reduction="none") for a, b in pieces]).mean())
