"""Tuning: the free parameters of an allocation, chosen on the search split by successive halving over its windows.

Every setting of a family's grid is measured on a few windows, the best third of them on half of the windows, the best
two on all. The default is measured on all in every case, and only what is better there takes its place: on the search
split tuning never loses. Nothing here depends on chance; settings that give the same zeros are measured once, and so is
every window under one setting.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from autoprune.config_sections import AllocationSettings
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.trials import Trials
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.allocation.sdsa_settings import parameters
from autoprune.pruning.allocation.spec import Parameters, Setting
from autoprune.pruning.allocation.table import default_setting, grid
from autoprune.runs.measurement import Measurement

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

    @classmethod
    def of(cls, measured: Measurement) -> "Tuned":
        """What a tuned baseline's measurement says."""
        return cls(**(measured.tuning or {}))

    @property
    def setting(self) -> Setting:
        """What was chosen."""
        return Setting(self.family, self.unit, self.parameters)


def default_of(bench: Bench, family: str, settings: AllocationSettings, sparsity: float) -> Setting:
    """A family's default setting on a bench, with the unit and, for SDSA, the constants of the settings."""
    constants = SDSA(**settings.model_dump(include={"kappa", "tau", "delta"}, exclude_none=True))
    overrides = parameters(constants) if family == "sdsa" else None
    units = bench.units_by(settings.unit).described(("depth",))
    return default_setting(family, settings.unit, units, sparsity, overrides)


def parameters_of(measured: Measurement) -> str:
    """With which parameters a baseline's allocation was made, if they were tuned; `untuned` if they might have been."""
    if measured.tuning is not None:
        return str(Tuned.of(measured).setting)
    return "untuned" if measured.untuned else ""


def tune(bench: Bench, score: str, default: Setting, recipe: Recipe, subject: str) -> Measurement:
    """A published score with the best setting of a family, on the search split, and how it was tuned.

    Losses that are not finite count as infinite.
    """
    tuned = best_setting(bench, score, default, recipe.sparsity)
    measured = measure_setting(bench, score, tuned.setting, recipe, subject)
    return measured.model_copy(update={"tuning": asdict(tuned)})


def measure_setting(bench: Bench, score: str, setting: Setting, recipe: Recipe, subject: str = "") -> Measurement:
    """A published score as a recipe applies it, but with an allocation under a setting, on the search split."""
    applied = replace(recipe, allocation=setting.family, setting=setting, allocated_by=score)
    return measure(bench, Published.named(score), applied, "search", subject=subject)


def best_setting(bench: Bench, score: str, default: Setting, sparsity: float) -> Tuned:
    """The best of a family's settings for a published score, by successive halving."""
    units = bench.units_by(default.unit).described(("depth",))
    settings = grid(default.family, default, units, sparsity)
    algorithm = Published.named(score)
    with algorithm.open(bench.readable(algorithm.needs)) as scoring:
        # The first of those that give the same zeros; a published score does not look at the sparsity that it is told,
        # so that trials by module can measure settings of any unit.
        by_zeros: dict[tuple[int, ...], tuple[Setting, dict[str, int]]] = {}
        for setting in settings:
            zeros = allocated(bench, bench.units_by(setting.unit), setting, sparsity, scoring).zeros
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
