"""Estimates of the memory that each phase of a run needs, from the sizes of the model and the settings."""

import os

import torch

from autoprune.config import Config
from autoprune.evaluation.perplexity import windows_per_pass
from autoprune.leagues import WITH_UPDATE
from autoprune.models.footprint import Footprint, Room
from autoprune.pruning.allocation.signals import BY_HESSIAN
from autoprune.pruning.allocation.table import made
from autoprune.pruning.refinements.table import any_reads
from autoprune.pruning.threads import AHEAD, MOST

PER_SCORE = 13
"""Bytes per weight of a layer while it is scored and masked: weight, score and a copy in float32, and a mask."""
PER_SORT = 2 * (4 + 8)
"""Bytes per weight of a layer whose scores a GPU sorts as a whole: values and indices, and a copy of both."""
PER_HESSIAN = 2 * 4
"""Bytes per value of a Hessian: the sum and the result, float32."""
PER_SWAP = 8 * 4
"""Bytes per weight of a layer while its mask is refined: weight, mask, steps and their effects, float32."""
FLOATS = 3 * 4
"""Bytes per value of a reduction in float32: a copy, the result, and an intermediate."""


def reads_hessians(config: Config) -> bool:
    """Whether baselines (their refinements, updates or allocations), the candidates' allocation or the compensation of
    structures read full Hessians of all layers."""
    if config.search.structure is not None:
        return config.search.compensate == "least-squares"
    published = config.baselines
    return (
        any_reads(published.refinements, "hessian")
        or config.search.league == WITH_UPDATE
        or any(BY_HESSIAN & set(made(name).reads) for name in (*published.allocations, config.allocation.name))
    )


class MemoryEstimate:
    """Bytes that each phase of a run needs beside libraries, in host memory or on a GPU.

    Estimates of passes are upper bounds: all inputs and outputs of one block at once.
    """

    def __init__(self, size: Footprint, config: Config, dtype: torch.dtype, offload: str, gpu: bool) -> None:
        self._size, self._config, self._gpu, self._offload = size, config, gpu, offload
        self._item, self._batch = dtype.itemsize, windows_per_pass(dtype)
        self._width = sum(rows + columns for rows, columns in size.matrices)

    def load(self) -> Room:
        """The model, and a copy of its largest part while that is converted."""
        largest = max(self._size.vocabulary * self._size.hidden, max(self._size.blocks))
        return self._held(pruned=False) + self._here(largest * self._item)

    def statistics(self) -> Room:
        """The model, the hidden states of the calibration text, and a pass of one window through one block; with
        sampled blocks or baselines that read them, the Hessians of a block; with sampled blocks, a backward pass of one
        window."""
        data = self._config.data
        sampled = self._config.advanced.layer_error is not None
        hessians = sampled or reads_hessians(self._config)
        largest = max(columns for _, columns in self._size.matrices)
        working = self._pass(data.seqlen) + data.seqlen * largest * FLOATS
        working += hessians * PER_HESSIAN * sum(columns**2 for _, columns in self._size.matrices)
        states = self._states(data.calibration_samples)
        block = max(self._size.blocks) * self._item  # as it is written
        return self._held(pruned=False) + self._here(max(states + max(working, block), sampled * self._backward()))

    def measuring(self, windows: int, sandboxed: int = 0, refined: bool = False) -> Room:
        """A pruned model with the larger of masking (and refining masks if `refined`) and a pass with its logits.
        `sandboxed`: bytes of the candidate's process."""
        data = self._config.data
        positions = data.seqlen * self._size.vocabulary
        passes = self._pass(self._batch * data.seqlen) + positions * (self._batch * self._item + FLOATS)
        if self._offload != "none":
            passes += self._states(windows)
        threads = min(os.cpu_count() or 1, MOST)
        largest = max(rows * columns for rows, columns in self._size.matrices)
        masking = ((AHEAD * threads + 1) * PER_SCORE + self._gpu * threads * PER_SORT) * largest
        if refined:
            masking += threads * max(columns * (4 * columns + PER_SWAP * rows) for rows, columns in self._size.matrices)
        masks = self._size.prunable // 8 if self._offload == "disk" else 0
        making = self._held(pruned=True) + self._here(masks + masking)
        ready = self._held(pruned=True) + self._here(passes)
        most = Room(max(making.host, ready.host), max(making.device, ready.device))
        return most + Room(host=sandboxed)

    def _backward(self) -> int:
        """A backward pass of one window: hidden states of all blocks, activations and gradients of one block,
        logits."""
        seqlen = self._config.data.seqlen
        logits = seqlen * self._size.vocabulary * (2 * self._item + FLOATS)
        return len(self._size.blocks) * self._states(1) + 2 * self._pass(seqlen) + logits

    def _held(self, pruned: bool) -> Room:
        return self._size.held(self._item, self._offload, self._gpu, pruned)

    def _here(self, count: int) -> Room:
        return Room(device=count) if self._gpu else Room(host=count)

    def _pass(self, tokens: int) -> int:
        return tokens * (self._width + self._size.hidden) * self._item

    def _states(self, windows: int) -> int:
        return windows * self._config.data.seqlen * self._size.hidden * self._item
