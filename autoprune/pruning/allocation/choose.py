"""From a name to an allocation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autoprune.errors import UsageError
from autoprune.pruning.allocation import sdsa
from autoprune.pruning.allocation.alphapruning import alphapruning
from autoprune.pruning.allocation.atp import atp
from autoprune.pruning.allocation.dlp import dlp
from autoprune.pruning.allocation.owl import owl
from autoprune.pruning.allocation.uniform import uniform

Allocation = Callable[[Sequence[Mapping[str, Any]], float], list[float]]
"""From units (mappings with the fields that it reads) and a sparsity to one density per unit, on the budget."""

ALLOCATIONS: dict[str, Allocation] = {
    "uniform": uniform,
    "sdsa": sdsa.PRESETS["default"],
    "sdsa-paper": sdsa.PRESETS["paper"],
    "owl": owl,
    "dlp": dlp,
    "alphapruning": alphapruning,
    "atp": atp,
}

READS: dict[str, tuple[str, ...]] = {
    "uniform": (),
    "sdsa": ("skewness",),
    "sdsa-paper": ("skewness",),
    "owl": ("outlier_share",),
    "dlp": ("mean_score",),
    "alphapruning": ("alpha",),
    "atp": ("depth",),
}
"""The fields beside `size` that an allocation reads; `signals.unit_signals` computes those that the contract's
UNIT_FIELDS lack (mean_score, alpha)."""

NEED_MORE = {
    "global": "scores of all layers (global_threshold.global_zeros)",
    "searched": "measurements (searched.searched)",
    "sdsa-online": "the pruned prefix (dynamic.Online)",
    "sdsa-staged": "the stage before (dynamic.next_stage)",
}
"""Allocations that do not follow from unit statistics alone, and what they take."""


def choose_allocation(name: str) -> Allocation:
    """The allocation of that name. Raises UsageError for an unknown one, or one that needs more than units."""
    if name in NEED_MORE:
        raise UsageError(f"the allocation {name!r} cannot be made from unit statistics; it needs {NEED_MORE[name]}")
    if name not in ALLOCATIONS:
        raise UsageError(f"unknown allocation {name!r}; there are {', '.join((*ALLOCATIONS, *NEED_MORE))}")
    return ALLOCATIONS[name]
