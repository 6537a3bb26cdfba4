"""Pruning a model block by block: statistics, scores, masks, updates, on one walk.

Any score goes with any update and pattern. What is written back is float32 arithmetic rounded to the model's dtype, and
a pruned weight is +0.0.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from torch import Tensor

from autoprune.config_values import SWAP_ROUNDS, Refinement
from autoprune.errors import CandidateFailure, UsageError
from autoprune.models.blocks import PrunableLayer
from autoprune.models.observed import Observed
from autoprune.models.statistics import Observer
from autoprune.models.target import Edits, Target
from autoprune.models.walk import walk
from autoprune.pruning import updates
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.masks import make_mask
from autoprune.pruning.refinements import REFINEMENTS
from autoprune.pruning.updates import InverseFactor, inverse_factor

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
Seen = Callable[[str, Tensor, Tensor], None]
"""Layer name, dense weight and mask, both [out, in]: what a measurement reports of layers is taken from these."""


def unseen(name: str, weight: Tensor, mask: Tensor) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Method:
    """How a layer's scores become its new weight: a mask, its refinement, and an update of what is kept.

    `pattern` (n, m) fixes its own number of zeros. `rounds`: of a refinement. `own_masks`: SparseGPT's way of choosing
    masks among compensated weights, which takes no scores.
    """

    update: Update = "none"
    pattern: tuple[int, int] | None = None
    own_masks: bool = False
    refinement: Refinement = "none"
    rounds: int = SWAP_ROUNDS

    def __post_init__(self) -> None:
        if self.own_masks and self.update != "obs":
            raise UsageError("SparseGPT's own masks are chosen while it updates; they need update obs")

    @property
    def pattern_text(self) -> str:
        """The pattern as N:M, or none."""
        return "{}:{}".format(*self.pattern) if self.pattern else "none"

    @property
    def reads_hessian(self) -> bool:
        """Whether the layer's full Hessian is needed."""
        return self.update != "none" or self.refinement != "none"

    def mask(self, weight: Tensor, score: Tensor, zeros: int, group: str, hessian: Callable[[], Tensor]) -> Tensor:
        """What is kept of a dense weight, [out, in], by a score [out, in]. `hessian`: gives the layer's, [in, in]."""
        mask = make_mask(score, weight, zeros, group, self.pattern)
        if self.refinement == "none":
            return mask
        return REFINEMENTS[self.refinement](weight, hessian().to(weight.device), mask, self.rounds, self.pattern)

    def own(self, weight: Tensor, zeros: int, factor: InverseFactor) -> tuple[Tensor, Tensor]:
        """The new weight and its mask, both [out, in], by SparseGPT's own masks."""
        return updates.sparsegpt(weight, zeros, factor, self.pattern)


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

    def timed(self, scores: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The same scores; the time until each comes is booked on score, that until the next is asked for on mask."""
        for pair in scores:
            self.spent_on("score")
            yield pair
            self.spent_on("mask")

    def reported(self) -> dict[str, float]:
        """As measurements tell it: statistics with their forward passes, if there were any; masks with updates."""
        walked = self.forward + self.statistics
        phases = {"score": self.score, "mask": self.mask + self.update}
        return {"statistics": walked, **phases} if walked else phases


def prune_blocks(
    target: Target,
    windows: Tensor,
    method: Method,
    plan: Plan,
    scorer: Scorer,
    edits: Edits,
    *,
    sequential: bool,
    hessian: bool = False,
    gradients: Mapping[str, Tensor] | None = None,
    seen: Seen = unseen,
    advance: Callable[[], None] = lambda: None,
) -> Seconds:
    """Prune every block in turn, from calibration windows [samples, seqlen].

    `sequential`: a block's statistics come from the blocks before it as `edits` left them; else from the dense ones.
    `hessian`: scores read it (an update and a refinement have it anyway). `gradients`: layer name -> [out, in], of the
    dense model. Besides the model, one block's statistics and one set of hidden states are held.
    """
    seconds = Seconds()
    observer = Observer(target, hessian or method.reads_hessian)

    def see(info: LayerInfo, inputs: Tensor) -> None:
        seconds.spent_on("forward")
        observer.see(info, inputs)
        seconds.spent_on("statistics")

    for layers in walk(target, windows, see, sequential, advance):
        seconds.spent_on("forward")
        statistics = {name: dict(layer_statistics) for name, layer_statistics in observer.take(layers).items()}
        for name, layer_statistics in statistics.items():
            if gradients is not None:
                layer_statistics["gradient"] = gradients[name]
        seconds.spent_on("statistics")
        block = Observed(layers, statistics)
        try:
            _Block(layers, statistics, method, edits, seen, seconds).prune(block, plan, scorer)
        finally:
            block.close()
    seconds.spent_on("forward")
    return seconds


class _Block:
    """One block on the walk."""

    def __init__(
        self,
        layers: Sequence[PrunableLayer],
        statistics: Mapping[str, Mapping[str, Tensor]],
        method: Method,
        edits: Edits,
        seen: Seen,
        seconds: Seconds,
    ) -> None:
        self._weights = {layer.info.name: layer.weight for layer in layers}
        self._statistics = statistics
        self._method = method
        self._edits = edits
        self._seen = seen
        self._seconds = seconds
        self._factors: dict[int, InverseFactor] = {}

    def prune(self, block: Observed, plan: Plan, scorer: Scorer) -> None:
        zeros, unit_sparsity = plan(block.layers, block)
        pruned = (
            self._by_itself(zeros) if self._method.own_masks else self._by_scores(block, zeros, unit_sparsity, scorer)
        )
        if pruned != len(self._weights):
            raise CandidateFailure("check", "protocol", f"{pruned} of the {len(self._weights)} layers were scored")
        self._seconds.spent_on("update")

    def _by_itself(self, zeros: Mapping[str, int]) -> int:
        for name, weight in self._weights.items():
            updated, mask = self._method.own(weight, zeros[name], self._factor(name))
            self._seen(name, weight, mask)
            self._edits.weight(name, updated)
        return len(self._weights)

    def _by_scores(
        self, block: Observed, zeros: Mapping[str, int], unit_sparsity: Mapping[str, float], scorer: Scorer
    ) -> int:
        pruned = 0
        with scorer(block) as scored:
            for name, score in scored.scores(unit_sparsity, list(self._weights), self._method.pattern_text):
                self._seconds.spent_on("score")
                weight = self._weights[name]
                mask = self._method.mask(weight, score, zeros[name], scored.group, partial(self._hessian, name))
                self._seen(name, weight, mask)
                self._seconds.spent_on("mask")
                if self._method.update == "none":
                    self._edits.mask(name, mask)
                else:
                    self._edits.weight(name, updates.obs(weight, mask, self._factor(name)))
                self._seconds.spent_on("update")
                pruned += 1
        return pruned

    def _hessian(self, name: str) -> Tensor:
        return self._statistics[name]["hessian"]

    def _factor(self, name: str) -> InverseFactor:
        """That of the layer's Hessian; layers that share their inputs (q, k, v) share it."""
        hessian = self._hessian(name)
        if id(hessian) not in self._factors:
            self._factors[id(hessian)] = inverse_factor(hessian.to(self._weights[name].device))
        return self._factors[id(hessian)]
