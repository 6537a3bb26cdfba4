"""Tuning the free parameters of an allocation on the search split, by successive halving over its windows.

Every setting of a family's grid is measured on a few windows, the best third on half of the windows, and the best two
and the default on all, so that tuning never loses on the search split. The procedure is deterministic. Settings with
equal zeros are measured once.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.trials import Trials
from autoprune.progress import steps
from autoprune.pruning.allocation.spec import Parameters, Setting
from autoprune.pruning.allocation.table import default_setting, grid
from autoprune.pruning.fields import Unit
from autoprune.runs.measurement import Measurement

FIRST_WINDOWS = 2
FINALISTS = 2
"""Settings beside the default that are measured on all windows."""


@dataclass(frozen=True)
class Tuned:
    """The result of a tuning, as plain data. `loss`: mean over all windows of the search split, in nats per token, of
    the chosen setting; `default_loss`: of the default. `settings`: number of distinct allocations that were measured;
    `windows`: number of measured windows."""

    family: str
    unit: str
    parameters: Parameters
    loss: float
    default_loss: float
    settings: int
    windows: int

    @classmethod
    def of(cls, measured: Measurement) -> "Tuned":
        """The tuning in the measurement of a tuned baseline."""
        return cls(**(measured.tuning or {}))

    @property
    def setting(self) -> Setting:
        return Setting(self.family, self.unit, self.parameters)


def default_of(bench: Bench, family: str, unit: Unit, sparsity: float) -> Setting:
    return default_setting(family, unit, bench.units_by(unit).described(("depth",)), sparsity)


def parameters_of(measured: Measurement) -> str:
    """The tuned parameters of a baseline's allocation; `untuned` if it could have been tuned, else empty."""
    if measured.tuning is not None:
        return str(Tuned.of(measured).setting)
    return "untuned" if measured.untuned else ""


def tune(bench: Bench, score: str, default: Setting, recipe: Recipe, subject: str) -> Measurement:
    """Measure a published score with the best setting of a family on the search split, and record the tuning.

    Losses that are not finite count as infinite.
    """
    tuned = best_setting(bench, score, default, recipe.sparsity)
    measured = measure_setting(bench, score, tuned.setting, recipe, subject)
    return measured.model_copy(update={"tuning": asdict(tuned)})


def measure_setting(bench: Bench, score: str, setting: Setting, recipe: Recipe, subject: str = "") -> Measurement:
    """Measure a published score on the search split by a recipe whose allocation is replaced by a setting."""
    applied = replace(recipe, allocation=setting.family, setting=setting, allocated_by=score)
    return measure(bench, Published.named(score), applied, "search", subject=subject)


def settings_of(bench: Bench, default: Setting, sparsity: float) -> list[Setting]:
    """The grid of a family's settings, which begins with the default."""
    return list(grid(default.family, default, bench.units_by(default.unit).described(("depth",)), sparsity))


def most_windows(settings: int, windows: int) -> int:
    """The number of windows that tuning measures, if no setting repeats the zeros of another one.

    `settings`: of the grid; `windows`: of the search split.
    """
    few, half, third = rungs(settings, windows)
    in_the_end = min(settings, FINALISTS) * (windows - half) + windows  # the default may not have been measured yet
    return settings * few + min(settings, third) * (half - few) + in_the_end


def rungs(settings: int, windows: int) -> tuple[int, int, int]:
    """Windows of the first and of the second rung, and the number of settings that reach the second one."""
    few = min(FIRST_WINDOWS, windows)
    return few, max(windows // 2, few), max(math.ceil(settings / 3), FINALISTS)


def best_setting(bench: Bench, score: str, default: Setting, sparsity: float) -> Tuned:
    """The best of a family's settings for a published score, by successive halving."""
    settings = settings_of(bench, default, sparsity)
    algorithm = Published.named(score)
    with algorithm.open(bench.readable(algorithm.needs)) as scoring:
        # The first setting for each distinct zeros. Published scores do not depend on the sparsity, so trials by module
        # can measure settings of any unit.
        by_zeros: dict[tuple[int, ...], tuple[Setting, dict[str, int]]] = {}
        for setting in settings:
            zeros = allocated(bench, bench.units_by(setting.unit), setting, sparsity, scoring).zeros
            by_zeros.setdefault(tuple(zeros.values()), (setting, zeros))
        tried = list(by_zeros.values())
        with Trials(bench, bench.units_by("module"), scoring) as trials:
            return _halved(trials, tried, f"tuning {default.family} for {score}")


def _halved(trials: Trials, tried: Sequence[tuple[Setting, Mapping[str, int]]], name: str = "tuning") -> Tuned:
    """Successive halving; `tried` begins with the default. `name`: of the progress bar."""
    few, half, third = rungs(len(tried), trials.windows)

    def loss(place: int, windows: int) -> float:
        before = trials.measured
        found = trials.loss(tried[place][1], windows)
        bar.advance(count=trials.measured - before)
        return found

    def losses(places: Sequence[int], windows: int) -> dict[int, float]:
        return {place: loss(place, windows) for place in places}

    alive = list(range(len(tried)))
    with steps(name, {"": most_windows(len(tried), trials.windows)}, "windows") as bar:
        for windows, survivors in ((few, third), (half, FINALISTS)):
            if len(alive) > survivors:
                alive = _ranked(losses(alive, windows))[:survivors]
        final = losses([0, *(place for place in alive if place)], trials.windows)
    chosen = best_place(final)
    setting = tried[chosen][0]
    default = finite(final[0])
    return Tuned(setting.family, setting.unit, setting.parameters, final[chosen], default, len(tried), trials.measured)


def finite(loss: float) -> float:
    """The loss, or the largest float if it is infinite, which JSON cannot represent."""
    return min(loss, sys.float_info.max)


def best_place(losses: Mapping[int, float]) -> int:
    """The place of the lowest loss; the first among equals, so that the default is preferred."""
    return _ranked(losses)[0]


def _ranked(losses: Mapping[int, float]) -> list[int]:
    return sorted(losses, key=lambda place: (losses[place], place))
