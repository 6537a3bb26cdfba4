"""All allocations by name, and the settings of their tuning grids."""

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from autoprune.errors import UsageError
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Setting, Stage

OWN = "own"
"""In a recipe: the candidate's own allocation."""


def _found() -> Iterator[AllocationSpec]:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name not in ("signals", "units", "table"):  # these import torch, or this module
            yield from getattr(import_module(f"{__package__}.{module.name}"), "SPECS", ())


_STAGES = get_args(Stage)
ALLOCATIONS: Mapping[str, AllocationSpec] = {
    spec.name: spec for spec in sorted(_found(), key=lambda spec: _STAGES.index(spec.stage))
}
NAMES = tuple(ALLOCATIONS)
STATIC = tuple(spec.name for spec in ALLOCATIONS.values() if spec.stage == "statistics" and not spec.variant_of)
"""Allocations by unit statistics, which baselines and candidates can have."""
TUNABLE = tuple(spec.name for spec in ALLOCATIONS.values() if spec.grid is not None)


def spec_of(name: str) -> AllocationSpec:
    """The allocation of that name. Raises UsageError for an unknown one."""
    if name not in ALLOCATIONS:
        raise UsageError(f"unknown allocation {name!r}; there are {', '.join((*NAMES, OWN))}")
    return ALLOCATIONS[name]


def made(allocation: str | Setting) -> Made:
    """An allocation by name with default parameters, or by a setting."""
    if isinstance(allocation, Setting):
        return spec_of(allocation.family).make(allocation.parameters)
    return spec_of(allocation).make({})


def grid(family: str, default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[Setting]:
    """The distinct settings of a family's grid, the default one first. `units`: with size and depth."""
    spec = spec_of(family)
    settings = [default, *(spec.grid(default, units, sparsity) if spec.grid else ())]
    return [setting for place, setting in enumerate(settings) if setting not in settings[:place]]


def default_setting(family: str, unit: str, units: Sequence[Mapping[str, Any]], sparsity: float) -> Setting:
    return Setting(family, unit, spec_of(family).default(units, sparsity))


def neighbours(settings: Sequence[Setting], place: int) -> list[int]:
    """The neighbours of a place in a grid: every number is at most one grid value away, everything else is equal."""
    here = settings[place]
    alike = [other for other, setting in enumerate(settings) if _words(setting) == _words(here)]
    scales = {name: sorted({_number(settings[other], name) for other in alike}) for name in _numbers(here)}

    def steps(setting: Setting, name: str) -> int:
        return abs(scales[name].index(_number(setting, name)) - scales[name].index(_number(here, name)))

    return [
        other for other in alike if other != place and all(steps(settings[other], name) <= 1 for name in _numbers(here))
    ]


def _numbers(setting: Setting) -> list[str]:
    return [name for name, value in setting.parameters.items() if not isinstance(value, str)]


def _number(setting: Setting, name: str) -> float:
    return float(setting.parameters[name])


def _words(setting: Setting) -> list[str]:
    """The parts of a setting that are not numbers."""
    return [setting.unit, *(value for value in setting.parameters.values() if isinstance(value, str))]
