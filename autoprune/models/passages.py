"""Batches of windows on their way through the decoder blocks: what a block is called with, and what it returns.

A block's arguments beside the hidden states are recorded for every batch, for they may depend on its tokens (Gemma's
per-layer inputs). They are recorded before any block runs, so they must not depend on what the blocks compute, unless
a block hands it on unchanged beside the hidden states; `walk_check` finds the models where they do.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from autoprune.models.blocks import decoder_blocks

if TYPE_CHECKING:
    from autoprune.models.target import Target

Forward = Callable[..., Any]
Call = tuple[tuple[Any, ...], dict[str, Any]]
"""What a block is called with beside its hidden states: positional and named arguments."""


class Reached(Exception):
    """What a forward pass was made for has happened; the rest of it need not run."""


class Passage:
    """One batch between two decoder blocks: its hidden states, and the call of every block."""

    def __init__(self, states: Tensor, calls: list[Call], forms: "list[Form]") -> None:
        self.states = states
        self._calls = calls
        self._forms = forms
        self._handed: dict[int, Tensor] = {}
        arguments = (tensor for args, kwargs in calls for tensor in _tensors((args, *kwargs.values())))
        self._wanted = {id(tensor) for tensor in arguments if tensor.is_meta}

    @torch.inference_mode()
    def through(self, index: int, block: nn.Module) -> Tensor:
        """The hidden states after a block; those before it stay."""
        args, kwargs = self._calls[index]
        output = block(self.states, *map(self._filled, args), **{name: self._filled(kwargs[name]) for name in kwargs})
        for empty, tensor in self._forms[index].beside(output):
            if id(empty) in self._wanted:
                self._handed[id(empty)] = tensor
        return hidden_of(output)

    def _filled(self, value: Any) -> Any:
        """An argument with what earlier blocks handed on. Raises LookupError where that was changed on its way."""
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(map(self._filled, value))
        if isinstance(value, Tensor) and value.is_meta:
            if id(value) not in self._handed:
                raise LookupError("what a decoder block takes from an earlier one is computed between them")
            return self._handed[id(value)]
        return value

    @torch.inference_mode()
    def replace(self, states: Tensor) -> None:
        """Take other hidden states, in the place of the old ones where they fit: freed pieces between kept ones would
        fragment the heap."""
        if (states.shape, states.dtype, states.device) == (self.states.shape, self.states.dtype, self.states.device):
            self.states.copy_(states)
        else:  # a residual stream that is float32 from the first block on
            self.states = states.clone()


class Form:
    """How a block's output is made: hidden states, or a tuple or list that begins with them.

    Other tensors in it are represented by tensors without values, which stand for what a block hands on. Raises
    TypeError for an output of another kind.
    """

    def __init__(self, output: Any) -> None:
        hidden_of(output)
        self._kind = None if isinstance(output, Tensor) else type(output)
        self._rest = () if self._kind is None else tuple(map(_without_values, output[1:]))

    def of(self, states: Tensor) -> Any:
        """An output with these hidden states."""
        if self._kind is None:
            return states
        parts = (states, *self._rest)
        return self._kind(*parts) if hasattr(self._kind, "_fields") else self._kind(parts)

    def beside(self, output: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """The other tensors, each with the one that represents it."""
        return zip(_tensors(self._rest), _tensors(output[1:]), strict=True) if self._rest else iter(())


def passages(target: "Target", batches: Sequence[Tensor]) -> list[Passage]:
    """Each batch of windows [windows, seqlen] in front of the first decoder block.

    Every block's output is represented by its hidden states as they came in, so no block runs.
    """
    blocks = list(decoder_blocks(target.model)[1])
    entered: list[Passage] = []
    room: Tensor | None = None
    first: dict[tuple[int, str], Tensor] = {}
    for at, batch in enumerate(batches):
        states, calls = _recorded(target, blocks, batch, first)
        if room is None:
            room = states.new_empty(len(batches), *states.shape)
        fits = states.shape == room.shape[1:]
        states = room[at].copy_(states) if fits else states.clone()
        entered.append(Passage(states, calls, target.first_pass.forms))
    return entered


def through_all_blocks(target: "Target", batches: Sequence[Tensor], turns: int = 1) -> Iterator[Tensor]:
    """Yield the batches of windows, each on the device, after all of them went through all blocks, one block at a time.

    While a batch is held, a forward pass of the model on it needs no block: what leaves the last one is known. `turns`:
    how often a batch goes through each block, with the same hidden states, as it does behind pruned blocks.
    """
    blocks = list(decoder_blocks(target.model)[1])
    batches = [batch.to(target.device) for batch in batches]
    entered = passages(target, batches)
    for index, block in enumerate(blocks):
        with target.visiting(index):
            for passage in entered:
                for _ in range(turns):
                    states = passage.through(index, block)
                passage.replace(states)
    for batch, passage in zip(batches, entered, strict=True):
        with patched_blocks(blocks, partial(_left, target.first_pass.forms, passage.states)):
            yield batch


def hidden_in(forward: Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Call]:
    """The hidden states that a block is called with (its first parameter), and the rest of the call."""
    if args:
        return args[0], (args[1:], kwargs)
    name = next(iter(inspect.signature(forward).parameters))
    return kwargs[name], ((), {key: value for key, value in kwargs.items() if key != name})


def hidden_of(output: Any) -> Tensor:
    """The hidden states in a block's output: a tensor, or the first item of a tuple or list. Raises TypeError."""
    states = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(states, Tensor):
        raise TypeError(f"a decoder block returns a {type(output).__name__}")
    return states


@contextmanager
def patched_blocks(blocks: list[nn.Module], replace: Callable[[int, Forward], Forward]) -> Iterator[None]:
    """The blocks with another `forward` for a while: `replace(index, forward)`."""
    before = [block.__dict__.get("forward") for block in blocks]  # accelerate's, say
    for index, block in enumerate(blocks):
        block.forward = replace(index, block.forward)
    try:
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def _recorded(
    target: "Target", blocks: list[nn.Module], batch: Tensor, first: dict[tuple[int, str], Tensor]
) -> tuple[Tensor, list[Call]]:
    """The hidden states that enter the first block, and every block's call, of one batch."""
    entering: list[Tensor] = []
    calls: list[Call] = []
    replaced: dict[int, tuple[Tensor, Tensor]] = {}
    forms = target.first_pass.forms

    def recorder(index: int, forward: Forward) -> Forward:
        def record(*args: Any, **kwargs: Any) -> Any:
            states, (rest, named) = hidden_in(forward, args, kwargs)
            entering.append(states)
            share = partial(_shared, first, replaced, index)
            calls.append(
                (
                    tuple(share(str(at), argument) for at, argument in enumerate(rest)),
                    {name: share(name, argument) for name, argument in named.items()},
                )
            )
            if len(calls) == len(blocks):
                raise Reached
            return forms[index].of(states)

        return record

    with patched_blocks(blocks, recorder), torch.inference_mode(), suppress(Reached):
        target.model(batch.to(target.device), use_cache=False)
    return entering[0], calls


def _shared(
    first: dict[tuple[int, str], Tensor], replaced: dict[int, tuple[Tensor, Tensor]], index: int, path: str, value: Any
) -> Any:
    """An argument whose tensors are those of the first batch where they are equal, as rotary embeddings and masks are.

    `first`: the first batch's tensors by block and place. `known`: this batch's by identity, and what they became.
    Lists and dicts stay the very objects: blocks may hand each other something in them.
    """
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_shared(first, replaced, index, f"{path}.{at}", part) for at, part in enumerate(value))
    if not isinstance(value, Tensor):
        return value
    if id(value) not in replaced:
        if value.is_meta:  # it stands for what an earlier block hands on
            return value
        counterpart = first.setdefault((index, path), value)
        same = (counterpart.shape, counterpart.dtype, counterpart.device) == (value.shape, value.dtype, value.device)
        replaced[id(value)] = (
            value,
            counterpart if same and torch.equal(counterpart, value) else value,
        )  # held: an identity may come again
    return replaced[id(value)][1]


def _without_values(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(map(_without_values, value))
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _left(forms: Sequence[Form], states: Tensor, index: int, forward: Forward) -> Forward:
    """A block's forward pass that gives these hidden states whatever comes in."""
    return partial(_give, forms[index].of(states))


def _give(output: Any, *args: Any, **kwargs: Any) -> Any:
    return output
