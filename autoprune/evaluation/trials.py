"""Trials: losses of one algorithm under many allocations, updating only masks that change between them."""

import math
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from autoprune.evaluation.algorithms import Scoring
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.prune import Method
from autoprune.pruning.allocation.units import Units
from autoprune.pruning.threads import side_by_side

PLAIN = Method()


class Trials:
    """Measures allocations on the search split. A context manager, at whose end the target's weights are restored.

    Masks are those of the scores with the method's refinement. An algorithm's own `refine` and `update`, which can take
    too long for every trial, are only applied if it is measured as a `whole`.

    `windows`: number of windows of the split; `measured`: total number of measured windows. `method`: applied to
    scores.
    """

    def __init__(
        self, bench: Bench, units: Units, scoring: Scoring, method: Method = PLAIN, whole: bool = False
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

        def mask(scored: tuple[str, Tensor]) -> tuple[str, Tensor]:
            name, score = scored
            weight, group = self._bench.target.weight(name), self._scoring.group
            return name, self._method.mask(weight, score, zeros[name], group, partial(self._statistic, name))

        if self._whole and changed:
            made = partial(self._scoring.edits, unit_sparsity, lambda name, score: mask((name, score))[1].cpu())
            for edit in made(changed, self._method.pattern_text):
                self._edits.apply(edit.to(self._bench.target.device))
                self._applied[edit.name] = zeros[edit.name]
            return
        for name, kept in side_by_side(mask, self._scoring.scores(unit_sparsity, changed) if changed else ()):
            self._edits.mask(name, kept)
            self._applied[name] = zeros[name]
