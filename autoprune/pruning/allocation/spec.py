"""The specification of an allocation: its name, stage, inputs and free parameters.

Each module of this package lists its allocations in `SPECS`, which `table` collects. Nothing here imports torch, so
that settings and completion load quickly.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.pruning.allocation.sdsa import SDSA
    from autoprune.pruning.allocation.units import Units

Stage = Literal["statistics", "scores", "trials", "walk"]
"""What zeros are decided by: unit statistics, scores of all layers, trials on the search split, or the walk that prunes
the model block by block."""
Parameters = dict[str, float | str]
Densities = Callable[[Sequence[Mapping[str, Any]], float], list[float]]
"""From units (mappings of signals) and a sparsity to one density per unit, on the budget."""


class Context(Protocol):
    """The input of an allocation by scores or by trials."""

    units: "Units"
    sparsity: float
    group: str
    """What scores are compared within: row or matrix."""
    windows: int
    """Windows of the search split."""

    def scores(self, zeros: Mapping[str, int]) -> Iterator[tuple[str, "Tensor"]]:
        """(layer name, score [out, in]) of all layers, under the sparsity of these zeros per layer."""

    def weight(self, name: str) -> "Tensor":
        """The dense weight [out, in] of a layer."""

    def loss(self, zeros: Mapping[str, int], windows: int) -> float:
        """The mean loss in nats over the first windows of the search split under these zeros per layer."""


@dataclass(frozen=True)
class Made:
    """An allocation with fixed parameters, which has one of three forms.

    `densities`: a function of units with the signals `reads`. `zeros`: a function from a context to zeros per layer.
    `online`: the constants of SDSA for allocation on the walk.
    """

    densities: Densities | None = None
    reads: tuple[str, ...] = ()
    zeros: Callable[[Context], dict[str, int]] | None = None
    online: "SDSA | None" = None


@dataclass(frozen=True)
class Setting:
    """An allocation with fixed parameters, as plain data. `unit`: what has a sparsity of its own."""

    family: str
    unit: str
    parameters: Parameters

    def __str__(self) -> str:
        """A description such as `block, lambda 0.05, M 3`."""
        values = (value if isinstance(value, str) else f"{name} {value:.3g}" for name, value in self.parameters.items())
        return ", ".join((self.unit, *values)).replace("_", " ")


def _no_parameters(units: Sequence[Mapping[str, Any]], sparsity: float) -> Parameters:
    return {}


@dataclass(frozen=True)
class AllocationSpec:
    """One allocation. `make`: from parameters, where missing ones have their default.

    `grid`: the settings of a tuning, from the default setting, units (with size and depth) and a sparsity; None without
    free parameters. `default`: the default parameters, from units and sparsity. `variant_of`: the name of the
    allocation of which this is a variant.
    """

    name: str
    make: Callable[[Parameters], Made]
    stage: Stage = "statistics"
    grid: Callable[[Setting, Sequence[Mapping[str, Any]], float], Iterable[Setting]] | None = None
    default: Callable[[Sequence[Mapping[str, Any]], float], Parameters] = field(default=_no_parameters)
    variant_of: str = ""
