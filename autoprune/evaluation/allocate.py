"""From any allocation's name to zeros per layer: by unit statistics, by scores, or by trials on search text."""

import math
from collections.abc import Mapping

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Scoring
from autoprune.evaluation.bench import Bench, Refine, unrefined
from autoprune.evaluation.units import Units
from autoprune.pruning.allocation import sdsa
from autoprune.pruning.allocation.atp import atp_searched
from autoprune.pruning.allocation.choose import ALLOCATIONS, READS
from autoprune.pruning.allocation.dynamic import next_stage, stages, surviving_skewness
from autoprune.pruning.allocation.global_threshold import global_zeros
from autoprune.pruning.allocation.searched import Rung, searched
from autoprune.pruning.allocation.uniform import uniform
from autoprune.pruning.masks import make_mask, masked_weight
from autoprune.pruning.skewness import unit_skewness
from autoprune.pruning.threads import side_by_side

STAGES = 4
GENERATIONS = 12
OFFSPRING = 8
WINDOWS_ON_GRID = 8

BY_SCORES = ("global", "sdsa-staged")
BY_TRIALS = ("atp-searched", "searched")
ON_THE_WALK = ("sdsa-online",)
NAMES = (*ALLOCATIONS, *BY_SCORES, *BY_TRIALS, *ON_THE_WALK)
"""Every allocation. Those ON_THE_WALK are made unit by unit while the model is pruned."""


def allocate(bench: Bench, units: Units, name: str, sparsity: float, scoring: Scoring) -> dict[str, int]:
    """Zeros per layer, in total exactly round(s N), by the allocation of that name.

    `scoring` gives the scores that `global`, `sdsa-staged` and the trials rest on. Raises UsageError for an unknown
    name or one that is made on the walk.
    """
    if name in ALLOCATIONS:
        return units.spread(ALLOCATIONS[name](units.described(READS[name]), sparsity), sparsity)
    if name == "global":
        told = units.sparsity(_uniform(units, sparsity))
        return global_zeros(scoring.scores(told), sparsity)
    if name == "sdsa-staged":
        return staged(bench, units, sdsa.PRESETS["default"], sparsity, scoring)
    if name in BY_TRIALS:
        with Trials(bench, units, scoring) as trials:
            return _atp(trials, sparsity) if name == "atp-searched" else _searched(trials, sparsity)
    if name in ON_THE_WALK:
        raise UsageError(f"the allocation {name} is made while the model is pruned; it needs sequential statistics")
    raise UsageError(f"unknown allocation {name!r}; there are {', '.join(NAMES)}")


class Trials:
    """Measures allocations on the search split, masking again only the units whose zeros changed since the last.

    `windows`: how many the split has; `measured`: how many passed through the model in all. `refine`: what becomes of
    the scores' masks.
    """

    def __init__(self, bench: Bench, units: Units, scoring: Scoring, refine: Refine = unrefined) -> None:
        self.units = units
        self.windows = len(bench.windows("search").tokens)
        self.measured = 0
        self._known: dict[tuple[int, ...], list[float]] = {}
        self._bench = bench
        self._scoring = scoring
        self._refine = refine
        self._applied: dict[str, int] = {}

    def __enter__(self) -> "Trials":
        self._edits = self._bench.target.edited()
        self._put = self._edits.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._edits.__exit__(None, None, None)

    def loss(self, zeros: Mapping[str, int], windows: int) -> float:
        """The mean loss in nats over the first windows of the search split; infinite where it is not finite.

        A window that was measured before under the same zeros is not measured again.
        """
        known = self._known.setdefault(tuple(zeros.values()), [])
        if len(known) < windows:
            self._apply(zeros)
            self.measured += windows - len(known)
            known += self._bench.losses("search", windows, skip=len(known))
        mean = math.fsum(known[:windows]) / windows
        return mean if math.isfinite(mean) else math.inf

    def _apply(self, zeros: Mapping[str, int]) -> None:
        told = self.units.sparsity(zeros)
        changed = [
            layer.name
            for unit in self.units.members.values()
            if any(self._applied.get(layer.name) != zeros[layer.name] for layer in unit)
            for layer in unit
        ]

        def pruned(scored: tuple[str, Tensor]) -> tuple[str, Tensor]:
            name, score = scored
            weight = self._bench.target.weight(name)
            mask = make_mask(score, weight, zeros[name], self._scoring.group)
            return name, masked_weight(weight, self._refine(name, weight, mask))

        for name, weight in side_by_side(pruned, self._scoring.scores(told, changed) if changed else ()):
            self._put(name, weight)
            self._applied[name] = zeros[name]


def _atp(trials: Trials, sparsity: float) -> dict[str, int]:
    """ATP with its slope found by a grid on search text."""
    units = trials.units
    windows = min(WINDOWS_ON_GRID, trials.windows)

    def measure(densities: list[float]) -> float:
        return trials.loss(units.spread(densities, sparsity), windows)

    densities, _ = atp_searched(units.described(("depth",)), sparsity, measure)
    return units.spread(densities, sparsity)


def _searched(trials: Trials, sparsity: float) -> dict[str, int]:
    """Paired swaps between units, evolved on search text, from the uniform allocation."""
    units = trials.units

    def measure(zeros: tuple[int, ...], windows: int) -> float:
        return trials.loss(units.spread_totals(zeros), min(windows, trials.windows))

    rungs = [Rung(2, 3), Rung(max(trials.windows // 2, 2), 1), Rung(trials.windows, 1)]
    start = units.totals(_uniform(units, sparsity))
    best = searched(start, units.sizes, measure, rungs, GENERATIONS, OFFSPRING)
    return units.spread_totals(best.zeros)


def staged(bench: Bench, units: Units, settings: sdsa.SDSA, sparsity: float, scoring: Scoring) -> dict[str, int]:
    """SDSA at rising sparsities, each stage seeing the skew of the weights that survived the one before."""
    totals = units.totals(units.floors)
    for stage in stages(sparsity, STAGES):
        zeros = units.spread_totals(totals)

        def surviving(scored: tuple[str, Tensor], zeros: dict[str, int] = zeros) -> tuple[str, float]:
            name, score = scored
            weight = bench.target.weight(name)
            return name, surviving_skewness(masked_weight(weight, make_mask(score, weight, zeros[name], scoring.group)))

        skew = dict(side_by_side(surviving, scoring.scores(units.sparsity(zeros))))
        now = [unit_skewness((layer.size, skew[layer.name]) for layer in unit) for unit in units.members.values()]
        totals = next_stage(settings, now, units.sizes, stage, totals)
    return units.spread_totals(totals)


def _uniform(units: Units, sparsity: float) -> dict[str, int]:
    return units.spread(uniform(units.described(()), sparsity), sparsity)
