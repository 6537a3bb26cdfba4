"""Passing batches of windows through the decoder blocks one block at a time.

A block's arguments beside the hidden states are recorded for every batch, since they can depend on its tokens (Gemma's
per-layer inputs). They are recorded before any block runs, so they must not depend on what the blocks compute, except
for tensors that a block passes on unchanged; `walk_check` detects models that violate this.
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
"""Positional and named arguments of a block beside its hidden states."""


class Reached(Exception):
    """Ends a forward pass whose remaining computation is not needed."""


class Passage:
    """One batch between two decoder blocks: its hidden states, and the arguments of every block."""

    def __init__(self, states: Tensor, calls: list[Call], forms: "list[Form]") -> None:
        self.states = states
        self._calls = calls
        self._forms = forms
        self._handed: dict[int, Tensor] = {}
        arguments = (tensor for args, kwargs in calls for tensor in _tensors((args, *kwargs.values())))
        self._wanted = {id(tensor) for tensor in arguments if tensor.is_meta}

    @torch.inference_mode()
    def through(self, index: int, block: nn.Module) -> Tensor:
        """The hidden states after a block, without changing those before it."""
        args, kwargs = self._calls[index]
        output = block(self.states, *map(self._filled, args), **{name: self._filled(kwargs[name]) for name in kwargs})
        for empty, tensor in self._forms[index].beside(output):
            if id(empty) in self._wanted:
                self._handed[id(empty)] = tensor
        return hidden_of(output)

    def _filled(self, value: Any) -> Any:
        """An argument with the tensors that earlier blocks passed on. Raises LookupError if these were modified."""
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(map(self._filled, value))
        if isinstance(value, Tensor) and value.is_meta:
            if id(value) not in self._handed:
                raise LookupError("what a decoder block takes from an earlier one is computed between them")
            return self._handed[id(value)]
        return value

    @torch.inference_mode()
    def replace(self, states: Tensor) -> None:
        """Replace the hidden states, in place if possible, to avoid fragmenting the heap."""
        if (states.shape, states.dtype, states.device) == (self.states.shape, self.states.dtype, self.states.device):
            self.states.copy_(states)
        else:  # for example, a residual stream in float32 after the first block
            self.states = states.clone()


class Form:
    """The structure of a block's output: hidden states, or a tuple or list that begins with them.

    Other tensors are represented by meta tensors. Raises TypeError for any other output.
    """

    def __init__(self, output: Any) -> None:
        hidden_of(output)
        self._kind = None if isinstance(output, Tensor) else type(output)
        self._rest = () if self._kind is None else tuple(map(_without_values, output[1:]))

    def of(self, states: Tensor) -> Any:
        """An output of this structure with the given hidden states."""
        if self._kind is None:
            return states
        parts = (states, *self._rest)
        return self._kind(*parts) if hasattr(self._kind, "_fields") else self._kind(parts)

    def beside(self, output: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of a meta tensor and the tensor of an output that it represents."""
        return zip(_tensors(self._rest), _tensors(output[1:]), strict=True) if self._rest else iter(())


def passages(target: "Target", batches: Sequence[Tensor]) -> list[Passage]:
    """The batches of windows [windows, seqlen] before the first decoder block. No block is computed."""
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
    """Pass all batches of windows through all blocks, one block at a time, then yield each batch on the device.

    Until the next batch is requested, a forward pass of the model on the yielded batch reuses the output of the last
    block. `turns`: how often each block is computed on the same hidden states, as on a walk over pruned blocks.
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
    """The hidden states (a block's first argument), and its other arguments."""
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
    """Within this context, each block's `forward` is `replace(index, forward)`."""
    before = [block.__dict__.get("forward") for block in blocks]  # set by accelerate, for example
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
    """The hidden states before the first block, and the arguments of every block, for one batch."""
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
    """An argument in which tensors are replaced by equal ones of the first batch, such as rotary embeddings and masks.

    `first`: tensors of the first batch by block and path. `replaced`: this batch's tensors by id, with replacements.
    Lists and dicts keep their identity, since blocks may pass data to each other in them.
    """
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_shared(first, replaced, index, f"{path}.{at}", part) for at, part in enumerate(value))
    if not isinstance(value, Tensor):
        return value
    if id(value) not in replaced:
        if value.is_meta:  # represents a tensor of an earlier block
            return value
        counterpart = first.setdefault((index, path), value)
        same = (counterpart.shape, counterpart.dtype, counterpart.device) == (value.shape, value.dtype, value.device)
        replacement = counterpart if same and torch.equal(counterpart, value) else value
        replaced[id(value)] = value, replacement  # a reference to `value` keeps its id unique
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
    """A forward pass of a block that returns these hidden states for any input."""
    output = forms[index].of(states)
    return lambda *args, **kwargs: output
