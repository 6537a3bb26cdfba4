"""One walk over the decoder blocks of any model: each block's inputs are seen, then its weights may be changed.

The calibration windows go through one block at a time, so that besides the model only their hidden states and one
block's statistics are held, and so that an accelerator needs room for one block only.

- dense: every block is fed by the dense blocks before it, whatever was done to their weights meanwhile.
- sequential: every block is fed by the blocks before it as they are by then, pruned.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from torch import Tensor

from autoprune.models.blocks import PrunableLayer, decoder_blocks, watch_inputs
from autoprune.models.passages import Reached, passages, through_all_blocks
from autoprune.models.target import Target
from autoprune.models.walk_check import check_walk
from autoprune.pruning.layers import LayerInfo

See = Callable[[LayerInfo, Tensor], None]


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
            raise Reached

    @contextmanager
    def without_output(self) -> Iterator[None]:
        """One window. The first runs to its end and tells how many inputs there are to see, should one come twice."""
        self._heard = []
        with suppress(Reached):
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
    check_walk(target)
    blocks = list(decoder_blocks(target.model)[1])
    entered = passages(target, windows.split(1))
    for index, block in enumerate(blocks):
        layers = [layer for layer in target.prunable if layer.info.block == index]
        with target.visiting(index):
            listener = _Listener(see, len(layers))
            handles = watch_inputs(layers, listener)
            try:
                for passage in entered:
                    if sequential or index + 1 == len(blocks):
                        with listener.without_output():
                            passage.through(index, block)
                    else:
                        passage.replace(passage.through(index, block))
                    advance()
            finally:
                for handle in handles:
                    handle.remove()
            if layers:
                yield layers
            if sequential and index + 1 < len(blocks):
                for passage in entered:
                    passage.replace(passage.through(index, block))


def passed_through(target: Target, windows: Tensor, size: int) -> Iterator[Tensor]:
    """Yield batches of `size` of the token windows [windows, seqlen], each on the device, as the model is made ready.

    While a batch is held, a forward pass of the model on it needs no block: what leaves the last one is known, for all
    windows went through one block after the other, each of which visited the device once. Computed are the very sums
    of whole passes over the same batches.
    """
    check_walk(target)
    yield from through_all_blocks(target, windows.split(size))
