"""All allocations by name, and the settings among which a tuning chooses."""

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from autoprune.errors import UsageError
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting, Stage

OWN = "own"
"""In a recipe: the allocation that a candidate brings itself."""


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
"""Those that follow from unit statistics alone, as baselines and candidates may have."""
TUNABLE = tuple(spec.name for spec in ALLOCATIONS.values() if spec.grid is not None)


def spec_of(name: str) -> AllocationSpec:
    """The allocation of that name. Raises UsageError for an unknown one."""
    if name not in ALLOCATIONS:
        raise UsageError(f"unknown allocation {name!r}; there are {', '.join((*NAMES, OWN))}")
    return ALLOCATIONS[name]


def made(allocation: str | Setting) -> Made:
    """An allocation by name, with the default parameters, or with those of a setting."""
    if isinstance(allocation, Setting):
        return spec_of(allocation.family).make(allocation.parameters)
    return spec_of(allocation).make({})


def grid(family: str, default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[Setting]:
    """The default setting of a family, then all others that are tried, each once. `units`: with size and depth."""
    spec = spec_of(family)
    found = [default, *(spec.grid(default, units, sparsity) if spec.grid else ())]
    return [each for place, each in enumerate(found) if each not in found[:place]]


def default_setting(
    family: str, unit: str, units: Sequence[Mapping[str, Any]], sparsity: float, overrides: Parameters | None = None
) -> Setting:
    """A family with its default parameters, of which some may be given otherwise."""
    return Setting(family, unit, spec_of(family).default(units, sparsity) | (overrides or {}))


def neighbours(settings: Sequence[Setting], place: int) -> list[int]:
    """The places in a grid that are one step from a place: no number more than one of the grid's values away, and
    everything else the same."""
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
    """What of a setting is no number."""
    return [setting.unit, *(value for value in setting.parameters.values() if isinstance(value, str))]
