"""Whether a BOS token is prepended to every window.

The protocol of the pruning literature has no BOS (`perplexity`), which barely affects most models. Models that
were always trained with one, Gemma for example, collapse without it. With a BOS a window has seqlen + 1 tokens, and its
loss is still the mean over seqlen - 1 positions, excluding the first token of the text. So both perplexities are over
the same tokens.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from autoprune.config_values import BosSetting
from autoprune.errors import UsageError
from autoprune.evaluation.perplexity import check_length, max_positions, window_losses
from autoprune.models.target import Target

logger = logging.getLogger(__name__)
WINDOWS = 2
"""Windows on which `auto` measures the dense model with and without a BOS."""
MARGIN = 0.1
"""Nats per token (10 % of the perplexity) that a BOS must gain for `auto` to prepend it. Models that need a BOS gain
several times as much, others a fraction."""


@dataclass(frozen=True)
class Bos:
    """A BOS token: its id and its text."""

    id: int
    text: str

    def prepended_to(self, windows: Tensor) -> Tensor:
        """Token windows [windows, seqlen] with the token prepended to each, [windows, seqlen + 1]."""
        return torch.cat([torch.full((len(windows), 1), self.id, dtype=windows.dtype), windows], dim=1)


def choose_bos(setting: BosSetting, target: Target, seqlen: int, text: Callable[[], Tensor]) -> Bos | None:
    """The BOS to prepend to windows of `seqlen` tokens, or None.

    `auto` compares both on the tokens [tokens] of `text`, if the tokenizer begins every text with a BOS. Raises
    UsageError if `always` is set for a tokenizer without BOS, or if windows are too long with it.
    """
    bos = _of(target.tokenizer)
    if setting == "never" or (setting == "auto" and not (bos and _begins_texts(target.tokenizer, bos))):
        return None
    if bos is None:
        raise UsageError(f"data.bos=always: the tokenizer of {target.name} has no BOS token; use data.bos=never")
    if setting == "auto" and not _better_with(bos, target, seqlen, text()):
        return None
    check_length(target, seqlen, bos.text)
    return bos


def shown(bos: Bos | None) -> str | None:
    """The BOS as text, for records and tables."""
    return bos.text if bos else None


def _of(tokenizer: Any) -> Bos | None:
    number = getattr(tokenizer, "bos_token_id", None)
    return None if number is None else Bos(number, str(tokenizer.bos_token))


def _begins_texts(tokenizer: Any, bos: Bos) -> bool:
    tokens: list[int] = tokenizer("x")["input_ids"]
    return len(tokens) > 1 and tokens[0] == bos.id


def _better_with(bos: Bos, target: Target, seqlen: int, tokens: Tensor) -> bool:
    """Whether the loss of the model is lower with a BOS by more than MARGIN."""
    positions = max_positions(target)
    length = min(seqlen, len(tokens) // WINDOWS, positions - 1 if positions else seqlen)
    if length < 2:
        return False
    windows = tokens[: WINDOWS * length].view(WINDOWS, length)
    without = fmean(window_losses(target, windows))
    with_it = fmean(window_losses(target, bos.prepended_to(windows), lead=1))
    better = math.isfinite(with_it) and not without - with_it <= MARGIN  # the loss without BOS may not be finite
    logger.info(
        f"data.bos=auto: {'' if better else 'no '}{bos.text} in front of windows (loss of the dense model, {WINDOWS} "
        f"windows of {length} tokens: {with_it:.3f} nats per token with it, {without:.3f} without; margin {MARGIN:g})"
    )
    return better
