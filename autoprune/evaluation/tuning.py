"""Tuning: the free parameters of an allocation, chosen on the search split by successive halving over its windows.

Every setting of a family's grid is measured on a few windows, the best third of them on half of the windows, the best
two on all. The default is measured on all in every case, and only what is better there takes its place: on the search
split tuning never loses. Nothing here depends on chance; settings that give the same zeros are measured once, and so is
every window under one setting.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoprune.config_values import Refinement
from autoprune.evaluation.algorithms import Published, Scoring
from autoprune.evaluation.allocate import Trials, staged
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.measurement import Measurement
from autoprune.evaluation.texts import Split
from autoprune.pruning.allocation.families import Parameters, Setting, grid
from autoprune.pruning.allocation.sdsa import SDSA

FIRST_WINDOWS = 2
FINALISTS = 2
"""Settings that are measured on all windows, beside the default."""


@dataclass(frozen=True)
class Tuned:
    """What a tuning found, as plain data. `loss`: the mean over all windows of the search split, in nats per token, of
    the setting that was chosen; `default_loss`: that of the default. `settings`: how many different allocations were
    measured. `windows`: how many windows were passed through the model for it in all."""

    family: str
    unit: str
    parameters: Parameters
    loss: float
    default_loss: float
    settings: int
    windows: int

    @property
    def setting(self) -> Setting:
        """What was chosen."""
        return Setting(self.family, self.unit, self.parameters)


def tune(bench: Bench, score: str, family: str, sparsity: float, unit: str, constants: SDSA) -> Tuned:
    """The best setting of a family (`families.TUNABLE`) for a published score at a sparsity, on the search split.

    `unit` and, for SDSA, `constants` are those of the default setting. Losses that are not finite count as infinite.
    """
    settings = grid(family, unit, constants, bench.units_by(unit).described(("depth",)), sparsity)
    algorithm = Published.named(score)
    with algorithm.open(bench.readable(algorithm.needs)) as scoring:
        # The first of those that give the same zeros; a published score does not look at the sparsity that it is told,
        # so that trials by module can measure settings of any unit.
        by_zeros: dict[tuple[int, ...], tuple[Setting, dict[str, int]]] = {}
        for setting in settings:
            zeros = setting_zeros(bench, setting, sparsity, scoring)
            by_zeros.setdefault(tuple(zeros.values()), (setting, zeros))
        tried = list(by_zeros.values())
        with Trials(bench, bench.units_by("module"), scoring) as trials:
            return _halved(trials, tried)


def _halved(trials: Trials, tried: Sequence[tuple[Setting, Mapping[str, int]]]) -> Tuned:
    """The rungs; `tried` has the default first."""
    few = min(FIRST_WINDOWS, trials.windows)
    half = max(trials.windows // 2, few)
    third = max(math.ceil(len(tried) / 3), FINALISTS)

    def losses(places: Sequence[int], windows: int) -> dict[int, float]:
        return {place: trials.loss(tried[place][1], windows) for place in places}

    alive = list(range(len(tried)))
    for windows, survivors in ((few, third), (half, FINALISTS)):
        if len(alive) > survivors:
            alive = _best(losses(alive, windows), survivors)
    final = losses([0, *(place for place in alive if place)], trials.windows)
    chosen = _best(final, 1)[0]
    setting = tried[chosen][0]
    default = finite(final[0])
    return Tuned(setting.family, setting.unit, setting.parameters, final[chosen], default, len(tried), trials.measured)


def finite(loss: float) -> float:
    """The loss, or the largest number where it is infinite, which JSON cannot say."""
    return min(loss, sys.float_info.max)


def _best(losses: Mapping[int, float], count: int) -> list[int]:
    """The places of the lowest losses; of equal ones the first, so that the default is only left for something."""
    return sorted(losses, key=lambda place: (losses[place], place))[:count]


def setting_zeros(bench: Bench, setting: Setting, sparsity: float, scoring: Scoring) -> dict[str, int]:
    """Zeros per layer under a setting, in total exactly round(s N). `scoring`: for what is made in stages."""
    units = bench.units_by(setting.unit)
    constants = setting.in_stages
    if constants is not None:
        return staged(bench, units, constants, sparsity, scoring)
    signal, allocate = setting.made
    return units.spread(allocate(units.described((signal,)), sparsity), sparsity)


def allotted(bench: Bench, setting: Setting, sparsity: float, score: str) -> tuple[dict[str, int], dict[str, float]]:
    """Zeros per layer under a setting, made with a published score, and the sparsity of each layer's unit."""
    algorithm = Published.named(score)
    with algorithm.open(bench.readable(algorithm.needs)) as scoring:
        zeros = setting_zeros(bench, setting, sparsity, scoring)
    return zeros, bench.units_by(setting.unit).sparsity(zeros)


def measure_setting(
    bench: Bench,
    score: str,
    setting: Setting,
    sparsity: float,
    split: Split,
    by: str | None = None,
    refinement: Refinement = "none",
) -> Measurement:
    """A published score with an allocation under a setting, and a refinement; `by`: the score that the allocation is
    made with, if another one."""
    zeros, told = allotted(bench, setting, sparsity, by or score)
    algorithm, refine = Published.named(score), bench.refine(refinement)
    with algorithm.open(bench.readable(algorithm.needs)) as scoring:
        return bench.measure(scoring.scores(told), scoring.group, zeros, split, refine=refine)
