"""One walk over the decoder blocks of any model: each block's inputs are seen, then its weights may be changed.

The calibration windows go through one block at a time, so that besides the model only their hidden states and one
block's statistics are held, and so that an accelerator needs room for one block only.

- dense: every block is fed by the dense blocks before it, whatever was done to their weights meanwhile.
- sequential: every block is fed by the blocks before it as they are by then, pruned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    device: torch.device | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[list[PrunableLayer]]:
    """Yield the layers of each block in turn, after `see(layer, inputs [tokens, in])` has seen all of their inputs.

    `windows`: token windows [samples, seqlen]. What is done to the weights of a yielded block, the later blocks feel
    only if `sequential`. Each block is moved to `device` for its turn, and back. `advance` is called once for each
    window and block.
    """
    blocks = list(decoder_blocks(target.model)[1])
    calls = _calls(target.model, blocks, windows[:1].to(target.device))
    hidden = _entering(target, blocks[0], windows)
    for index, (block, call) in enumerate(zip(blocks, calls, strict=True)):
        layers = [layer for layer in target.prunable if layer.info.block == index]
        with _on(block, device, target.device):
            listener = _Listener(see, len(layers))
            handles = watch_inputs(layers, listener)
            try:
                for states in hidden.split(1):
                    if sequential or index + 1 == len(blocks):
                        with listener.without_output():
                            _through(block, states, call, device)
                    else:
                        _replace(states, _through(block, states, call, device))
                    advance()
            finally:
                for handle in handles:
                    handle.remove()
            yield layers
            if sequential and index + 1 < len(blocks):
                for states in hidden.split(1):
                    _replace(states, _through(block, states, call, device))


def _calls(model: nn.Module, blocks: list[nn.Module], tokens: Tensor) -> list[Call]:
    """What each block is called with (rotary embeddings, masks), which may differ between blocks.

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

    with _patched(blocks, recorder), torch.inference_mode():
        model(tokens, use_cache=False, logits_to_keep=1)
    return calls


def _entering(target: Target, first: nn.Module, windows: Tensor) -> Tensor:
    """The hidden states [samples, seqlen, hidden] with which the first block is called.

    One tensor, overwritten by each block: freed pieces between kept ones would fragment the heap.
    """
    found: list[Tensor] = []

    def catcher(forward: Callable[..., Any]) -> Callable[..., Any]:
        def catch(*args: Any, **kwargs: Any) -> Any:
            found.append(args[0] if args else kwargs["hidden_states"])
            raise _Reached

        return catch

    hidden: Tensor | None = None
    with _patched([first], catcher), torch.inference_mode():
        for at, window in enumerate(windows):
            with suppress(_Reached):
                target.model(window.unsqueeze(0).to(target.device), use_cache=False, logits_to_keep=1)
            states = found.pop()
            if hidden is None:
                hidden = states.new_empty(len(windows), *states.shape[1:])
            hidden[at] = states[0]
    assert hidden is not None  # there is a window at least
    return hidden


def _replace(states: Tensor, leaving: Tensor) -> None:
    with torch.inference_mode():
        states.copy_(leaving)


def _through(block: nn.Module, states: Tensor, call: Call, device: torch.device | None) -> Tensor:
    """The hidden states after a block, whose output may be a tensor or a tuple that begins with it."""
    args, kwargs = _moved(call, device)
    with torch.inference_mode():
        output = block(_moved(states, device), *args, **kwargs)
    leaving: Tensor = output[0] if isinstance(output, tuple) else output
    return leaving.to(states.device)


@contextmanager
def _patched(blocks: list[nn.Module], replace: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """The blocks with another `forward` for a while."""
    for block in blocks:
        block.forward = replace(block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


@contextmanager
def _on(block: nn.Module, device: torch.device | None, home: torch.device) -> Iterator[None]:
    if device is None or device == home:
        yield
        return
    block.to(device)
    try:
        yield
    finally:
        block.to(home)


def _moved(value: Any, device: torch.device | None) -> Any:
    """The same value with its tensors on the device."""
    if device is None:
        return value
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple | list):
        return type(value)(_moved(each, device) for each in value)
    if isinstance(value, dict):
        return {key: _moved(each, device) for key, each in value.items()}
    return value
