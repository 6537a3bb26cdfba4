"""Pruning a model block by block: statistics, scores, masks, updates, on one walk.

Any score goes with any update and pattern. What is written back is float32 arithmetic rounded to the model's dtype, and
a pruned weight is +0.0.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from autoprune.config_values import Refinement
from autoprune.errors import UsageError
from autoprune.pruning import updates
from autoprune.pruning.blocks import PrunableLayer
from autoprune.pruning.bundle import LayerInfo
from autoprune.pruning.masks import make_mask, masked_weight
from autoprune.pruning.observed import Observed
from autoprune.pruning.refinements import swaps
from autoprune.pruning.statistics import Observer
from autoprune.pruning.target import Put, Target
from autoprune.pruning.updates import InverseFactor, inverse_factor
from autoprune.pruning.walk import walk

Update = Literal["none", "obs"]
Plan = Callable[[Sequence[LayerInfo], Observed], tuple[Mapping[str, int], Mapping[str, float]]]
"""Zeros per layer of the block that is about to be pruned, and the sparsity of each layer's unit."""


class Scored(Protocol):
    """What gives scores; `group`: within what they are compared (row, matrix)."""

    group: str

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterable[tuple[str, Tensor]]:
        """(layer name, score [out, in]) of the named layers; `sparsity` holds that of each layer's unit."""


Scorer = Callable[[Observed], AbstractContextManager[Scored]]
"""Opened for each block, on its weights and statistics."""


@dataclass(frozen=True)
class Surgery:
    """What is done with scores. `own_masks`: SparseGPT's way of choosing masks among compensated weights, which takes
    no scores. `pattern` (n, m) fixes its own number of zeros. `refinement`: what becomes of the scores' masks."""

    update: Update = "none"
    pattern: tuple[int, int] | None = None
    own_masks: bool = False
    refinement: Refinement = "none"

    def __post_init__(self) -> None:
        if self.own_masks and self.update != "obs":
            raise UsageError("SparseGPT's own masks are chosen while it updates; they need update obs")

    @property
    def pattern_text(self) -> str:
        """The pattern as N:M, or none."""
        return "{}:{}".format(*self.pattern) if self.pattern else "none"

    def mask(self, weight: Tensor, score: Tensor, zeros: int, group: str) -> Tensor:
        """What is kept, [out, in], by a score."""
        return make_mask(score, weight, zeros, group, self.pattern)

    def refined(self, weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
        """A better mask with as many zeros, by the layer's Hessian [in, in]."""
        return swaps(weight, hessian.to(weight.device), mask, pattern=self.pattern)

    def masked(self, weight: Tensor, mask: Tensor, factor: InverseFactor | None = None) -> Tensor:
        """The new weight [out, in], in the weight's dtype. `factor` is that of the layer's Hessian, for an update."""
        return masked_weight(weight, mask) if factor is None else updates.obs(weight, mask, factor)

    def by_itself(self, weight: Tensor, zeros: int, factor: InverseFactor) -> Tensor:
        """The same by SparseGPT's own masks."""
        return updates.sparsegpt(weight, zeros, factor, self.pattern)[0]


@dataclass
class Seconds:
    """Time by phase. `forward`: passes over the calibration windows; `statistics`: what is gathered on them; `update`:
    what is done to weights by a mask, with the factors of Hessians. On a GPU, which works on by itself, the borders
    between phases are blurred."""

    forward: float = 0.0
    statistics: float = 0.0
    score: float = 0.0
    mask: float = 0.0
    update: float = 0.0
    _since: float = field(default_factory=time.perf_counter)

    def spent_on(self, phase: Literal["forward", "statistics", "score", "mask", "update"]) -> None:
        """Book the time since the last call on a phase."""
        now = time.perf_counter()
        setattr(self, phase, getattr(self, phase) + now - self._since)
        self._since = now

    def heard(self, scores: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The same scores; the time until each comes is booked on score, that until the next is asked for on mask."""
        for pair in scores:
            self.spent_on("score")
            yield pair
            self.spent_on("mask")

    def masking(self) -> dict[str, float]:
        """Of what makes masks alone."""
        return {"score": self.score, "mask": self.mask}

    def reported(self) -> dict[str, float]:
        """As rows and commands tell it: statistics with their forward passes, score, mask with the update."""
        return {
            "statistics": self.forward + self.statistics,
            "score": self.score,
            "mask": self.mask + self.update,
        }


def prune_blocks(
    target: Target,
    windows: Tensor,
    surgery: Surgery,
    plan: Plan,
    scorer: Scorer,
    put: Put,
    *,
    sequential: bool,
    hessian: bool = False,
    gradients: Mapping[str, Tensor] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Seconds:
    """Prune every block in turn, from calibration windows [samples, seqlen]; `put(name, weight)` takes new weights.

    `sequential`: a block's statistics come from the blocks before it as `put` left them; else from the dense ones.
    `hessian`: scores read it (an update and a refinement have it anyway). `gradients`: layer name -> [out, in], of the
    dense model. Besides the model, one block's statistics and one set of hidden states are held.
    """
    seconds = Seconds()
    observer = Observer(target, hessian or surgery.update == "obs" or surgery.refinement != "none")

    def see(info: LayerInfo, inputs: Tensor) -> None:
        seconds.spent_on("forward")
        observer.see(info, inputs)
        seconds.spent_on("statistics")

    for layers in walk(target, windows, see, sequential, advance):
        seconds.spent_on("forward")
        statistics = {name: dict(known) for name, known in observer.take(layers).items()}
        for name, known in statistics.items():
            if gradients is not None:
                known["gradient"] = gradients[name]
        seconds.spent_on("statistics")
        block = Observed(layers, statistics)
        try:
            _prune_block(block, layers, statistics, surgery, plan, scorer, put, seconds)
        finally:
            block.close()
    seconds.spent_on("forward")
    return seconds


def _prune_block(
    block: Observed,
    layers: Sequence[PrunableLayer],
    statistics: Mapping[str, Mapping[str, Tensor]],
    surgery: Surgery,
    plan: Plan,
    scorer: Scorer,
    put: Put,
    seconds: Seconds,
) -> None:
    zeros, told = plan(block.layers, block)
    weights = {layer.info.name: layer.weight for layer in layers}
    factors: dict[int, InverseFactor] = {}

    def factor(name: str) -> InverseFactor:
        """That of the layer's Hessian; layers that share their inputs (q, k, v) share it."""
        hessian = statistics[name]["hessian"]
        if id(hessian) not in factors:
            factors[id(hessian)] = inverse_factor(hessian.to(weights[name].device))
        return factors[id(hessian)]

    pruned = 0
    if surgery.own_masks:
        for name, weight in weights.items():
            put(name, surgery.by_itself(weight, zeros[name], factor(name)))
            pruned += 1
    else:
        with scorer(block) as scored:
            for name, score in scored.scores(told, list(weights), surgery.pattern_text):
                seconds.spent_on("score")
                mask = surgery.mask(weights[name], score, zeros[name], scored.group)
                if surgery.refinement != "none":
                    mask = surgery.refined(weights[name], mask, statistics[name]["hessian"])
                seconds.spent_on("mask")
                put(name, surgery.masked(weights[name], mask, factor(name) if surgery.update == "obs" else None))
                seconds.spent_on("update")
                pruned += 1
    if pruned != len(weights):
        raise UsageError(f"{pruned} of the {len(weights)} layers of a block were scored")
    seconds.spent_on("update")
