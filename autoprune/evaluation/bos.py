"""BOS, the token that begins a text: whether one is prepended to every window, and which.

The protocol of the pruning literature has none (`perplexity`), and most models lose next to nothing by that. A model
that never saw a text without one, Gemma for example, collapses, and its statistics with it. With a BOS a window has
seqlen + 1 tokens, and its loss is still the mean over the seqlen - 1 positions that the protocol counts: the first
token of the text is not counted. So both perplexities are of the same tokens.
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
from autoprune.evaluation.perplexity import check_length, known_positions, window_losses
from autoprune.models.target import Target

logger = logging.getLogger(__name__)
WINDOWS = 2
"""Windows of text on which `auto` measures the dense model with a BOS and without."""
MARGIN = 0.1
"""Nats per token, 10 % of the perplexity, by which the model must be better with a BOS for `auto` to prepend it. What
a model gains that can do without is a fraction of that, and what one gains that cannot is several times as much."""


@dataclass(frozen=True)
class Bos:
    """The token: its number, and how the tokenizer writes it."""

    id: int
    text: str

    def prepended_to(self, windows: Tensor) -> Tensor:
        """Token windows [windows, seqlen] with the token prepended to each, [windows, seqlen + 1]."""
        return torch.cat([torch.full((len(windows), 1), self.id, dtype=windows.dtype), windows], dim=1)


def choose_bos(setting: BosSetting, target: Target, seqlen: int, text: Callable[[], Tensor]) -> Bos | None:
    """The BOS that is prepended to the target's windows of `seqlen` tokens; None for none.

    `auto` measures, and logs what, where the tokenizer itself begins every text with a BOS. `text`: its
    tokens [tokens], some of which are measured. Raises UsageError where `always` finds no BOS, or where the windows are
    too long with it.
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
    """For records and tables."""
    return bos.text if bos else None


def _of(tokenizer: Any) -> Bos | None:
    number = getattr(tokenizer, "bos_token_id", None)
    return None if number is None else Bos(number, str(tokenizer.bos_token))


def _begins_texts(tokenizer: Any, bos: Bos) -> bool:
    tokens: list[int] = tokenizer("x")["input_ids"]
    return len(tokens) > 1 and tokens[0] == bos.id


def _better_with(bos: Bos, target: Target, seqlen: int, tokens: Tensor) -> bool:
    """Whether the model as it is now is clearly better with a BOS, by a margin that chance does not reach."""
    positions = known_positions(target)
    length = min(seqlen, len(tokens) // WINDOWS, positions - 1 if positions else seqlen)
    if length < 2:
        return False
    windows = tokens[: WINDOWS * length].view(WINDOWS, length)
    without = fmean(window_losses(target, windows))
    with_it = fmean(window_losses(target, bos.prepended_to(windows), lead=1))
    better = math.isfinite(with_it) and not without - with_it <= MARGIN  # without one it may not be finite
    logger.info(
        f"data.bos=auto: {'' if better else 'no '}{bos.text} in front of windows (loss of the dense model, {WINDOWS} "
        f"windows of {length} tokens: {with_it:.3f} nats per token with it, {without:.3f} without; margin {MARGIN:g})"
    )
    return better
