"""A walk over the decoder blocks of any model: each block's inputs are observed, then its weights may be changed.

The calibration windows pass through one block at a time, so that only their hidden states and one block's statistics
are held beside the model, and only one block on an accelerator.

- dense: every block gets the outputs of the dense blocks before it.
- sequential: every block gets the outputs of the edited blocks before it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from torch import Tensor

from autoprune.models.blocks import PrunableLayer, See, decoder_blocks, watch_inputs
from autoprune.models.passages import Reached, passages, through_all_blocks
from autoprune.models.target import Target
from autoprune.models.walk_check import check_walk
from autoprune.pruning.layers import LayerInfo


class _Listener:
    """Calls `see`, and ends a pass whose output is not needed after the last inputs were observed."""

    def __init__(self, see: See, layers: int) -> None:
        self._see = see
        self._layers = layers
        self._observed: list[str] = []
        self._enough = 0

    def __call__(self, info: LayerInfo, inputs: Tensor) -> None:
        self._see(info, inputs)
        self._observed.append(info.name)
        if 0 < self._enough <= len(self._observed) and len(set(self._observed)) == self._layers:
            raise Reached

    @contextmanager
    def without_output(self) -> Iterator[None]:
        """A pass of one window. The first one is complete and counts the inputs, since a layer may be applied twice."""
        self._observed = []
        with suppress(Reached):
            yield
        self._enough = self._enough or len(self._observed)
        self._observed = []


def walk(
    target: Target,
    windows: Tensor,
    see: See,
    sequential: bool,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[list[PrunableLayer]]:
    """Yield the layers of each block in turn, after `see(layer, inputs [tokens, in])` was called with all their inputs.

    `windows`: token windows [samples, seqlen]. Edits of a yielded block affect later blocks only if `sequential`. The
    yielded block is on the device. `advance` is called once per window and block.
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
    """Yield batches of `size` token windows [windows, seqlen] after all of them passed through the blocks.

    See `passages.through_all_blocks`: each block is loaded once, and the results equal those of whole passes exactly.
    """
    check_walk(target)
    yield from through_all_blocks(target, windows.split(size))
