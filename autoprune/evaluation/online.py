"""SDSA `online`: after each pruned block, the skewness of the others is measured and their budget reallocated."""

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from autoprune.models.blocks import PrunableLayer, watch_inputs
from autoprune.models.observed import Observed
from autoprune.models.statistics import Observer
from autoprune.models.target import Target
from autoprune.pruning.allocation.budget import matrix_zeros
from autoprune.pruning.allocation.dynamic import Online
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.scores import wanda
from autoprune.pruning.skewness import skewness, unit_skewness


class OnlineBudget:
    """A plan for sequential `prune_blocks` whose units are blocks, with exactly round(s N) zeros in total.

    The skewness is that of the Wanda score, since |W| does not change as the prefix is pruned. It is measured on a few
    `windows` [samples, seqlen], which pass through the whole model once per block. Raises UsageError if blocks are
    offloaded.
    """

    def __init__(self, target: Target, windows: Tensor, sdsa: SDSA, sparsity: float) -> None:
        target.need_whole("sdsa-online")
        self._target = target
        self._windows = windows
        self._blocks: list[list[PrunableLayer]] = [[] for _ in range(1 + target.layers[-1].block)]
        for layer in target.prunable:
            self._blocks[layer.info.block].append(layer)
        sizes = [sum(layer.info.size for layer in block) for block in self._blocks]
        self._online = Online(sdsa, sizes, sparsity)

    def __call__(self, layers: Sequence[LayerInfo], block: Observed) -> tuple[Mapping[str, int], Mapping[str, float]]:
        """Zeros and sparsity per layer of the next block."""
        rest = self._blocks[layers[0].block :]
        zeros = self._online.next_zeros(self._skewness(rest))
        sizes = [layer.size for layer in layers]
        shares = matrix_zeros(zeros, sizes)
        unit_sparsity = dict.fromkeys((layer.name for layer in layers), zeros / sum(sizes))
        return {layer.name: share for layer, share in zip(layers, shares, strict=True)}, unit_sparsity

    def _skewness(self, blocks: Sequence[Sequence[PrunableLayer]]) -> list[float]:
        observer = Observer(self._target)
        flat = [layer for block in blocks for layer in block]
        forward = inspect.signature(self._target.model.forward)
        few = {"logits_to_keep": 1} if "logits_to_keep" in forward.parameters else {}
        handles = watch_inputs(flat, observer.see)
        try:
            with torch.inference_mode():
                for window in self._windows:
                    tokens = window.unsqueeze(0).to(self._target.device)
                    self._target.model(tokens, use_cache=False, **few)
        finally:
            for handle in handles:
                handle.remove()
        seen = Observed(flat, observer.take(flat))
        return [
            unit_skewness((layer.info.size, skewness(wanda(seen.view(layer.info.name, 0.0)))) for layer in block)
            for block in blocks
        ]
