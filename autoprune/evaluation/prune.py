"""Pruning a model block by block: statistics, scores, masks, updates, on one walk.

Any score can be combined with any update and pattern. New weights are computed in float32 and rounded to the model's
dtype; pruned weights are +0.0.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch import Tensor

from autoprune.config_values import Refinement, Update
from autoprune.errors import CandidateFailure, UsageError
from autoprune.models.blocks import PrunableLayer
from autoprune.models.observed import Observed
from autoprune.models.statistics import Observer
from autoprune.models.target import Edits, Target
from autoprune.models.walk import walk
from autoprune.pruning.layers import LayerEdit, LayerInfo, MakeMask, Session
from autoprune.pruning.masks import make_mask
from autoprune.pruning.refinements.spec import SWAP_ROUNDS, Statistic
from autoprune.pruning.refinements.table import any_reads
from autoprune.pruning.refinements.table import spec_of as refinement_of
from autoprune.pruning.updates.table import spec_of as update_of

Plan = Callable[[Sequence[LayerInfo], Observed], tuple[Mapping[str, int], Mapping[str, float]]]
"""Zeros per layer of the next block, and the sparsity of each layer's unit."""


Scorer = Callable[[Observed], AbstractContextManager[Session]]
"""Opened for each block, on its weights and statistics."""
Seen = Callable[[str, Tensor, Tensor, Tensor | None], None]
"""Called with layer name, dense weight, mask and the new weight if it is updated, all [out, in], for the facts on
layers in a measurement."""
T = TypeVar("T")


@dataclass(frozen=True)
class Method:
    """How a layer's scores become its new weight: a mask, its refinement, and an update of the kept weights.

    A `pattern` (n, m) implies the number of zeros. `rounds`: of a refinement, None for no limit. `own_masks`: the
    update chooses masks among updated weights, as SparseGPT does, instead of scores.
    """

    update: Update = "none"
    pattern: tuple[int, int] | None = None
    own_masks: bool = False
    refinement: Refinement = "none"
    rounds: int | None = SWAP_ROUNDS

    def __post_init__(self) -> None:
        if self.own_masks and (self.update == "none" or update_of(self.update).choose is None):
            raise UsageError(f"own masks are chosen by an update; update {self.update} chooses none")

    @property
    def pattern_text(self) -> str:
        """The pattern as N:M, or none."""
        return "{}:{}".format(*self.pattern) if self.pattern else "none"

    @property
    def reads_hessian(self) -> bool:
        """Whether the layer's full Hessian is needed."""
        return self.update != "none" or any_reads((self.refinement,), "hessian")

    def mask(self, weight: Tensor, score: Tensor, zeros: int, group: str, statistic: Statistic) -> Tensor:
        """The mask of a dense weight [out, in] by a score [out, in]. `statistic`: of the layer, by name."""
        mask = make_mask(score, weight, zeros, group, self.pattern)
        if self.refinement == "none":
            return mask
        refine = refinement_of(self.refinement).refine
        return refine(weight, mask, lambda name: statistic(name).to(weight.device), self.pattern, self.rounds)

    def prepared(self, hessian: Tensor) -> Any:
        """What the update needs of a layer's Hessian [in, in]."""
        return update_of(self.update).prepare(hessian)

    def chosen(self, name: str, weight: Tensor, zeros: int, prepared: Any) -> LayerEdit:
        """A layer's new weight with the mask that the update chooses itself."""
        choose = update_of(self.update).choose
        assert choose is not None  # as checked at the start
        updated, mask = choose(weight, zeros, prepared, self.pattern)
        return LayerEdit(name, mask, updated)

    def updated(self, edit: LayerEdit, weight: Tensor, prepared: Callable[[str], Any]) -> LayerEdit:
        """The same with the weight of the update, if there is one. `prepared`: by the layer's name."""
        if self.update == "none":
            return edit
        apply = update_of(self.update).apply
        assert apply is not None  # as `Recipe.check` has checked
        return edit._replace(weight=apply(weight, edit.mask, prepared(edit.name)))


@dataclass
class Seconds:
    """Seconds by phase. `forward`: passes over calibration windows; `statistics`: collecting on them; `update`: editing
    weights, with factoring Hessians. On a GPU, which runs asynchronously, the split between phases is approximate."""

    forward: float = 0.0
    statistics: float = 0.0
    score: float = 0.0
    mask: float = 0.0
    update: float = 0.0
    _since: float = field(default_factory=time.perf_counter)

    def spent_on(self, phase: Literal["forward", "statistics", "score", "mask", "update"]) -> None:
        """Add the time since the last call to a phase."""
        now = time.perf_counter()
        setattr(self, phase, getattr(self, phase) + now - self._since)
        self._since = now

    def timed(self, scores: Iterable[T]) -> Iterator[T]:
        """Pass scores or edits on, counting the time to compute each as score, and the time to use it as mask."""
        for item in scores:
            self.spent_on("score")
            yield item
            self.spent_on("mask")

    def masking(self, make_mask: MakeMask) -> MakeMask:
        """The same function on the CPU, its time counted as mask and the time before it as score."""

        def masked(name: str, score: Tensor) -> Tensor:
            self.spent_on("score")
            mask = make_mask(name, score).cpu()
            self.spent_on("mask")
            return mask

        return masked

    def reported(self) -> dict[str, float]:
        """The seconds of a measurement: statistics include forward passes, masks include updates."""
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
    dense: Mapping[str, Callable[[str], Tensor]] = {},
    seen: Seen = lambda name, weight, mask, updated: None,
    advance: Callable[[], None] = lambda: None,
) -> Seconds:
    """Prune every block in turn, from calibration windows [samples, seqlen].

    `sequential`: collect a block's statistics behind pruned instead of dense blocks. `hessian`: collect it even if only
    scores read it. `dense`: further statistics, name -> (layer name -> that of the dense model). Only one block's
    statistics and one set of hidden states are held beside the model.
    """
    seconds = Seconds()
    observer = Observer(target, hessian or method.reads_hessian)

    def see(info: LayerInfo, inputs: Tensor) -> None:
        seconds.spent_on("forward")
        observer.see(info, inputs)
        seconds.spent_on("statistics")

    for layers in walk(target, windows, see, sequential, advance):
        seconds.spent_on("forward")
        statistics = {name: dict(by_statistic) for name, by_statistic in observer.take(layers).items()}
        for name, by_statistic in statistics.items():
            by_statistic.update((statistic, of_layer(name)) for statistic, of_layer in dense.items())
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
        self._prepared_by_hessian: dict[int, Any] = {}

    def prune(self, block: Observed, plan: Plan, scorer: Scorer) -> None:
        zeros, unit_sparsity = plan(block.layers, block)
        if self._method.own_masks:
            self._by_own_masks(zeros)
        else:
            self._by_scores(block, zeros, unit_sparsity, scorer)
        self._seconds.spent_on("update")

    def _by_own_masks(self, zeros: Mapping[str, int]) -> None:
        for name, weight in self._weights.items():
            edit = self._method.chosen(name, weight, zeros[name], self._prepared(name))
            self._seen(name, weight, edit.mask, edit.weight)
            self._edits.apply(edit)

    def _by_scores(
        self, block: Observed, zeros: Mapping[str, int], unit_sparsity: Mapping[str, float], scorer: Scorer
    ) -> None:
        pruned = 0
        with scorer(block) as scored:
            for edit in self._edited(scored, zeros, unit_sparsity):
                weight = self._weights[edit.name]
                edit = self._method.updated(edit.to(weight.device), weight, self._prepared)
                self._seen(edit.name, weight, edit.mask, edit.weight)
                self._edits.apply(edit)
                self._seconds.spent_on("update")
                pruned += 1
        if pruned != len(self._weights):
            raise CandidateFailure("check", "protocol", f"{pruned} of the {len(self._weights)} layers were scored")

    def _edited(
        self, scored: Session, zeros: Mapping[str, int], unit_sparsity: Mapping[str, float]
    ) -> Iterator[LayerEdit]:
        """The layers' masks, refined and with new weights where the algorithm has functions of its own for that."""

        def mask(name: str, score: Tensor) -> Tensor:
            statistic = self._statistics[name].__getitem__
            return self._method.mask(self._weights[name], score, zeros[name], scored.group, statistic)

        names, pattern = list(self._weights), self._method.pattern_text
        if scored.edits_defined:
            yield from self._seconds.timed(scored.edits(unit_sparsity, self._seconds.masking(mask), names, pattern))
            return
        for name, score in scored.scores(unit_sparsity, names, pattern):
            self._seconds.spent_on("score")
            made = LayerEdit(name, mask(name, score), None)
            self._seconds.spent_on("mask")
            yield made

    def _prepared(self, name: str) -> Any:
        """What the update needs of the layer's Hessian; layers with shared inputs (q, k, v) share it."""
        hessian = self._statistics[name]["hessian"]
        if id(hessian) not in self._prepared_by_hessian:
            self._prepared_by_hessian[id(hessian)] = self._method.prepared(hessian.to(self._weights[name].device))
        return self._prepared_by_hessian[id(hessian)]
