"""What decoder blocks do to their hidden states, and the model without some of them."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from autoprune.models.blocks import decoder_blocks
from autoprune.models.passages import Form, Forward, hidden_in, passages, patched_blocks
from autoprune.models.target import Target
from autoprune.models.walk_check import check_walk
from autoprune.pruning.structures.shortgpt import influence


def block_influence(target: Target, windows: Tensor, advance: Callable[[], None] = lambda: None) -> list[float]:
    """ShortGPT's block influence of every block: the mean over the tokens of windows [samples, seqlen].

    `advance` is called once per window and block. Raises UsageError if the blocks cannot be passed one at a time.
    """
    check_walk(target)
    blocks = list(decoder_blocks(target.model)[1])
    entered = passages(target, windows.split(1))
    means = []
    for index, block in enumerate(blocks):
        total = torch.zeros((), dtype=torch.float64, device=target.device)
        with target.visiting(index):
            for passage in entered:
                after = passage.through(index, block)
                total += influence(passage.states.flatten(0, -2), after.flatten(0, -2)).mean()
                passage.replace(after)
                advance()
        means.append(float(total) / len(entered))
    return means


@contextmanager
def without_blocks(target: Target, removed: Collection[int]) -> Iterator[None]:
    """Within this context, some blocks of the model return their hidden states as they are."""
    blocks = list(decoder_blocks(target.model)[1])
    forms = target.first_pass.forms

    def replace(index: int, forward: Forward) -> Forward:
        return partial(_skip, forms[index], forward) if index in removed else forward

    with patched_blocks(blocks, replace):
        yield


def _skip(form: Form, forward: Forward, *args: Any, **kwargs: Any) -> Any:
    return form.of(hidden_in(forward, args, kwargs)[0])
