"""Allocations with free parameters, and the settings among which a tuning chooses: the default first, then a grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from autoprune.pruning.allocation.alphapruning import EPSILON, alphapruning
from autoprune.pruning.allocation.atp import UNSEARCHED, atp, steepest
from autoprune.pruning.allocation.choose import Allocation
from autoprune.pruning.allocation.dlp import WIDTH, dlp
from autoprune.pruning.allocation.owl import LAMBDA, owl
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.allocation.signals import OUTLIER_MULTIPLE, OUTLIER_SHARES

Parameters = dict[str, float | str]
STAGED = "staged"


@dataclass(frozen=True)
class Setting:
    """A family with its parameters fixed, as plain data. `unit`: what gets a sparsity of its own."""

    family: str
    unit: str
    parameters: Parameters

    def __str__(self) -> str:
        """For people, on one line: `block, lambda 0.05, M 3`."""
        given = (value if isinstance(value, str) else f"{name} {value:.3g}" for name, value in self.parameters.items())
        return ", ".join((self.unit, *given)).replace("_", " ")

    @property
    def in_stages(self) -> SDSA | None:
        """SDSA's constants where it is made in stages, which takes scores; None where unit statistics are enough."""
        return _sdsa(self.parameters) if self.parameters.get("mode") == STAGED else None

    @property
    def made(self) -> tuple[str, Allocation]:
        """The signal (of `signals.SIGNALS`, or depth) that it reads, and the allocation itself."""
        return MAKERS[self.family](self.parameters)


def _sdsa(parameters: Parameters) -> SDSA:
    kappa, tau, delta = (float(parameters[name]) for name in ("kappa", "tau", "delta"))
    return SDSA(kappa, tau, delta, compress=parameters["skew"] == "compressed")


def _make_sdsa(parameters: Parameters) -> tuple[str, Allocation]:
    constants, signal = _sdsa(parameters), str(parameters["signal"])

    def allocate(units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        return constants.densities([unit[signal] for unit in units], [unit["size"] for unit in units], sparsity)

    return signal, allocate


def _make_owl(parameters: Parameters) -> tuple[str, Allocation]:
    signal, width = OUTLIER_SHARES[float(parameters["M"])], float(parameters["lambda"])
    return signal, partial(owl, lam=width, signal=signal)


MAKERS: dict[str, Callable[[Parameters], tuple[str, Allocation]]] = {
    "sdsa": _make_sdsa,
    "owl": _make_owl,
    "dlp": lambda given: ("mean_score", partial(dlp, width=float(given["width"]))),
    "alphapruning": lambda given: ("alpha", partial(alphapruning, epsilon=float(given["epsilon"]))),
    "atp": lambda given: ("depth", partial(atp, beta=float(given["beta"]))),
}
TUNABLE = tuple(MAKERS)
"""The families; `uniform` has nothing to tune."""

# What the grids span. SDSA: (kappa, tau, delta), from next to uniform to far from it.
STRENGTHS = ((0.1, 1.0, 0.15), (0.25, 1.0, 0.15), (0.5, 1.0, 0.15), (0.5, 0.5, 0.15), (1.0, 1.0, 0.3))
STRENGTHS_STAGED = ((0.1, 1.0, 0.15), (0.25, 1.0, 0.15), (0.5, 1.0, 0.15))
LAMBDAS = (0.02, 0.05, 0.08, 0.12, 0.2)
WIDTHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
SLOPES = tuple(eighths / 8 for eighths in range(9))


def grid(family: str, unit: str, constants: SDSA, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[Setting]:
    """The default setting of a family, then all others that are tried, each once.

    `unit` and, for SDSA, `constants` are those of the default; `units` (with size and depth) bound the slope of ATP.
    """
    if family == "sdsa":
        found = _grid_of_sdsa(unit, constants)
    else:
        found = [Setting(family, unit, parameters) for parameters in _grid_of(family, steepest(units, sparsity))]
    return [each for place, each in enumerate(found) if each not in found[:place]]


def neighbours(settings: Sequence[Setting], place: int) -> list[int]:
    """The places in a grid that are one step from a place: no number more than one of the grid's values away, and
    everything else the same."""
    here = settings[place]
    alike = [each for each, setting in enumerate(settings) if _words(setting) == _words(here)]
    scales = {name: sorted({_number(settings[each], name) for each in alike}) for name in _numbers(here)}

    def steps(setting: Setting, name: str) -> int:
        return abs(scales[name].index(_number(setting, name)) - scales[name].index(_number(here, name)))

    return [
        each for each in alike if each != place and all(steps(settings[each], name) <= 1 for name in _numbers(here))
    ]


def _numbers(setting: Setting) -> list[str]:
    return [name for name, value in setting.parameters.items() if not isinstance(value, str)]


def _number(setting: Setting, name: str) -> float:
    return float(setting.parameters[name])


def _words(setting: Setting) -> list[str]:
    """What of a setting is no number."""
    return [setting.unit, *(value for value in setting.parameters.values() if isinstance(value, str))]


def _grid_of_sdsa(unit: str, default: SDSA) -> list[Setting]:
    def setting(unit: str, signal: str, strength: tuple[float, float, float], mode: str) -> Setting:
        constants = dict(zip(("kappa", "tau", "delta"), strength, strict=True))
        skew = "compressed" if default.compress else "raw"
        return Setting("sdsa", unit, {"signal": signal, "skew": skew, **constants, "mode": mode})

    static = product(("block", "module"), ("skewness", "score_skewness"), STRENGTHS)
    return [
        setting(unit, "skewness", (default.kappa, default.tau, default.delta), "static"),
        *(setting(*each, "static") for each in static),
        *(setting("block", "skewness", each, STAGED) for each in STRENGTHS_STAGED),
    ]


def _grid_of(family: str, steepest_slope: float) -> list[Parameters]:
    grids: dict[str, list[Parameters]] = {
        "owl": [
            {"lambda": width, "M": multiple}
            for width, multiple in ((LAMBDA, OUTLIER_MULTIPLE), *product(LAMBDAS, OUTLIER_SHARES))
        ],
        "dlp": [{"width": width} for width in (WIDTH, *WIDTHS)],
        "alphapruning": [{"epsilon": epsilon} for epsilon in (EPSILON, *EPSILONS)],
        "atp": [{"beta": share * steepest_slope} for share in (UNSEARCHED, *SLOPES)],
    }
    return grids[family]
