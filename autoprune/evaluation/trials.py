"""Trials: losses of one algorithm under many allocations, editing only layers that change between them."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.prune import Method
from autoprune.pruning.allocation.units import Units
from autoprune.pruning.layers import LayerEdit, Session
from autoprune.pruning.threads import side_by_side

PLAIN = Method()


class Trials:
    """Measures allocations on the search split. A context manager, at whose end the target's weights are restored.

    Masks and weights are those of the scores with the method's refinement and update, all on dense statistics. An
    algorithm's own `refine` and `update`, which can take too long for every trial, are only applied if it is measured
    as a `whole`.

    `windows`: number of windows of the split; `measured`: total number of measured windows. `method`: applied to
    scores.
    """

    def __init__(
        self, bench: Bench, units: Units, scoring: Session, method: Method = PLAIN, whole: bool = False
    ) -> None:
        self.units = units
        self.windows = len(bench.windows("search").tokens)
        self.measured = 0
        self._known: dict[tuple[int, ...], list[float]] = {}
        self._bench = bench
        self._scoring = scoring
        self._method = method
        self._whole = whole and bool(scoring.edits_defined)
        self._statistic = bench.statistics(method.reads_hessian)
        self._applied: dict[str, int] = {}

    def __enter__(self) -> "Trials":
        self._editing = self._bench.target.edited()
        self._edits = self._editing.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._editing.__exit__(None, None, None)

    def loss(self, zeros: Mapping[str, int], windows: int) -> float:
        """The mean loss in nats over the first windows of the search split; infinity if it is not finite."""
        mean = math.fsum(self.losses(zeros, windows)) / windows
        return mean if math.isfinite(mean) else math.inf

    def losses(self, zeros: Mapping[str, int], windows: int) -> list[float]:
        """The losses in nats of the first windows of the search split, which are cached by zeros and window."""
        losses = self._known.setdefault(tuple(zeros.values()), [])
        if len(losses) < windows:
            self._apply(zeros)
            self.measured += windows - len(losses)
            losses += self._bench.losses("search", windows, skip=len(losses))
        return losses[:windows]

    def _apply(self, zeros: Mapping[str, int]) -> None:
        unit_sparsity = self.units.sparsity(zeros)
        changed = [
            layer.name
            for unit in self.units.members.values()
            if any(self._applied.get(layer.name) != zeros[layer.name] for layer in unit)
            for layer in unit
        ]

        def prepared(name: str) -> Any:
            return self._method.prepared(self._statistic(name, "hessian").to(self._bench.target.weight(name).device))

        def chosen(name: str) -> LayerEdit:
            return self._method.chosen(name, self._bench.target.weight(name), zeros[name], prepared(name))

        def mask(name: str, score: Tensor) -> Tensor:
            weight, group = self._bench.target.weight(name), self._scoring.group
            return self._method.mask(weight, score, zeros[name], group, partial(self._statistic, name))

        def own_mask(name: str, score: Tensor) -> Tensor:
            return mask(name, score).cpu()

        def masked(scored: tuple[str, Tensor]) -> LayerEdit:
            name, score = scored
            return self._method.updated(
                LayerEdit(name, mask(name, score), None), self._bench.target.weight(name), prepared
            )

        if not changed:
            return
        edits: Iterator[LayerEdit]
        if self._whole:
            edits = iter(self._scoring.edits(unit_sparsity, own_mask, changed, self._method.pattern_text))
        elif self._method.own_masks:
            edits = side_by_side(chosen, changed)
        else:
            edits = side_by_side(masked, self._scoring.scores(unit_sparsity, changed))
        for edit in edits:
            self._edits.apply(edit.to(self._bench.target.weight(edit.name).device))
            self._applied[edit.name] = zeros[edit.name]
