"""One walk over the decoder blocks of any model: each block's inputs are seen, then its weights may be changed.

The calibration windows go through one block at a time, so that besides the model only their hidden states and one
block's statistics are held, and so that an accelerator needs room for one block only.

- dense: every block is fed by the dense blocks before it, whatever was done to their weights meanwhile.
- sequential: every block is fed by the blocks before it as they are by then, pruned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from autoprune.pruning.blocks import PrunableLayer, decoder_blocks, watch_inputs
from autoprune.pruning.bundle import LayerInfo
from autoprune.pruning.target import Target

See = Callable[[LayerInfo, Tensor], None]
Call = tuple[tuple[Any, ...], dict[str, Any]]
"""What a block is called with beside its hidden states: positional and named arguments."""


class _Reached(Exception):
    """What a forward pass was made for has happened; the rest of it need not run."""


class _Listener:
    """Passes on what `see` is to see. A pass whose output nobody needs ends with the last inputs that it shows."""

    def __init__(self, see: See, layers: int) -> None:
        self._see = see
        self._layers = layers
        self._heard: list[str] = []
        self._enough = 0

    def __call__(self, info: LayerInfo, inputs: Tensor) -> None:
        self._see(info, inputs)
        self._heard.append(info.name)
        if 0 < self._enough <= len(self._heard) and len(set(self._heard)) == self._layers:
            raise _Reached

    @contextmanager
    def without_output(self) -> Iterator[None]:
        """One window. The first runs to its end and tells how many inputs there are to see, should one come twice."""
        self._heard = []
        with suppress(_Reached):
            yield
        self._enough = self._enough or len(self._heard)
        self._heard = []


def walk(
    target: Target,
    windows: Tensor,
    see: See,
    sequential: bool,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[list[PrunableLayer]]:
    """Yield the layers of each block in turn, after `see(layer, inputs [tokens, in])` has seen all of their inputs.

    `windows`: token windows [samples, seqlen]. What is done to the weights of a yielded block, the later blocks feel
    only if `sequential`. Each block visits the target's device for its turn. `advance` is called once for each window
    and block.
    """
    blocks = list(decoder_blocks(target.model)[1])
    calls, _ = _calls(target, blocks, windows[:1])
    hidden = _entering(target, blocks[0], windows, 1)
    for index, (block, call) in enumerate(zip(blocks, calls, strict=True)):
        layers = [layer for layer in target.prunable if layer.info.block == index]
        with target.visiting(index):
            listener = _Listener(see, len(layers))
            handles = watch_inputs(layers, listener)
            try:
                for states in hidden.split(1):
                    if sequential or index + 1 == len(blocks):
                        with listener.without_output():
                            _through(block, states, call)
                    else:
                        _replace(states, _through(block, states, call))
                    advance()
            finally:
                for handle in handles:
                    handle.remove()
            yield layers
            if sequential and index + 1 < len(blocks):
                for states in hidden.split(1):
                    _replace(states, _through(block, states, call))


def passed_through(target: Target, windows: Tensor, size: int) -> Iterator[Tensor]:
    """Yield batches of `size` of the token windows [windows, seqlen], each on the device, as the model is made ready.

    While a batch is held, a forward pass of the model on it needs no block: what leaves the last one is known, for all
    windows went through one block after the other, each of which visited the device once. Computed are the very sums
    of whole passes over the same batches.
    """
    blocks = list(decoder_blocks(target.model)[1])
    batches = [batch.to(target.device) for batch in windows.split(size)]
    calls = {length: _calls(target, blocks, windows[:length]) for length in {len(batch) for batch in batches}}
    hidden = _entering(target, blocks[0], windows, size)
    for index, block in enumerate(blocks):
        with target.visiting(index):
            for states in hidden.split(size):
                _replace(states, _through(block, states, calls[len(states)][0][index]))
    for batch, states in zip(batches, hidden.split(size), strict=True):
        output = states if calls[len(states)][1] is Tensor else (states,)
        with patched_blocks(blocks, partial(_giving, output)):
            yield batch


def _giving(output: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for a block's forward pass."""
    return lambda *args, **kwargs: output


def _calls(target: Target, blocks: list[nn.Module], tokens: Tensor) -> tuple[list[Call], type]:
    """What each block is called with (rotary embeddings, masks), which may differ between blocks; Tensor or tuple, as
    what a block returns.

    None of it depends on the hidden states, so only the first block runs: its output stands in for the others'.
    """
    calls: list[Call] = []
    standing_in: list[Any] = []

    def recorder(forward: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **kwargs: Any) -> Any:
            calls.append((args[1:], {name: value for name, value in kwargs.items() if name != "hidden_states"}))
            if not standing_in:
                standing_in.append(forward(*args, **kwargs))
            return standing_in[0]

        return record

    with patched_blocks(blocks, recorder), torch.inference_mode():
        target.model(tokens.to(target.device), use_cache=False, logits_to_keep=1)
    return calls, tuple if isinstance(standing_in[0], tuple) else Tensor


def _entering(target: Target, first: nn.Module, windows: Tensor, size: int) -> Tensor:
    """The hidden states [samples, seqlen, hidden] with which the first block is called, from batches of `size`.

    One tensor, overwritten by each block: freed pieces between kept ones would fragment the heap.
    """
    found: list[Tensor] = []

    def catcher(forward: Callable[..., Any]) -> Callable[..., Any]:
        def catch(*args: Any, **kwargs: Any) -> Any:
            found.append(args[0] if args else kwargs["hidden_states"])
            raise _Reached

        return catch

    hidden: Tensor | None = None
    with patched_blocks([first], catcher), torch.inference_mode():
        for at, batch in enumerate(windows.split(size)):
            with suppress(_Reached):
                target.model(batch.to(target.device), use_cache=False, logits_to_keep=1)
            states = found.pop()
            if hidden is None:
                hidden = states.new_empty(len(windows), *states.shape[1:])
            hidden[at * size : at * size + len(states)] = states
    assert hidden is not None  # there is a window at least
    return hidden


def _replace(states: Tensor, leaving: Tensor) -> None:
    with torch.inference_mode():
        states.copy_(leaving)


def _through(block: nn.Module, states: Tensor, call: Call) -> Tensor:
    """The hidden states after a block, whose output may be a tensor or a tuple that begins with it."""
    args, kwargs = call
    with torch.inference_mode():
        output = block(states, *args, **kwargs)
    leaving: Tensor = output[0] if isinstance(output, tuple) else output
    return leaving


@contextmanager
def patched_blocks(
    blocks: list[nn.Module], replace: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """The decoder blocks with another `forward` for a while."""
    before = [block.__dict__.get("forward") for block in blocks]  # accelerate's, say
    for block in blocks:
        block.forward = replace(block.forward)
    try:
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is None:
                del block.forward
            else:
                block.forward = forward
