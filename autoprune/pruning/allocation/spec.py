"""What an allocation is: its name, when its zeros are decided, what it reads, and its free parameters.

Each module of this package describes its allocations in `SPECS`; `table` gathers them. Nothing here imports torch, so
that settings, completion and errors know all names at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.pruning.allocation.sdsa import SDSA
    from autoprune.pruning.allocation.units import Units

Stage = Literal["statistics", "scores", "trials", "walk"]
"""When zeros are decided: from unit statistics alone, from the scores of all layers, by trials on the search split, or
block by block while the model is pruned."""
Parameters = dict[str, float | str]
Densities = Callable[[Sequence[Mapping[str, Any]], float], list[float]]
"""From units (mappings with the fields that it reads) and a sparsity to one density per unit, on the budget."""


class Context(Protocol):
    """What an allocation by scores or by trials works on."""

    units: "Units"
    sparsity: float
    group: str
    """Within what scores are compared: row or matrix."""
    windows: int
    """Of the search split."""

    def scores(self, zeros: Mapping[str, int]) -> Iterator[tuple[str, "Tensor"]]:
        """(layer name, score [out, in]) of all layers; the algorithm is told the sparsity of these zeros per layer."""

    def weight(self, name: str) -> "Tensor":
        """The dense weight [out, in] of a layer."""

    def loss(self, zeros: Mapping[str, int], windows: int) -> float:
        """The mean loss in nats over the first windows of the search split under these zeros per layer."""


@dataclass(frozen=True)
class Made:
    """An allocation with its parameters fixed: one of three ways to zeros.

    `densities`: from units with the fields `reads` beside size. `zeros`: per layer, from a context. `online`: SDSA's
    constants, where it allocates to one block after the other while the model is pruned.
    """

    densities: Densities | None = None
    reads: tuple[str, ...] = ()
    zeros: Callable[[Context], dict[str, int]] | None = None
    online: "SDSA | None" = None


@dataclass(frozen=True)
class Setting:
    """An allocation with its parameters fixed, as plain data. `unit`: what gets a sparsity of its own."""

    family: str
    unit: str
    parameters: Parameters

    def __str__(self) -> str:
        """For people, on one line: `block, lambda 0.05, M 3`."""
        values = (value if isinstance(value, str) else f"{name} {value:.3g}" for name, value in self.parameters.items())
        return ", ".join((self.unit, *values)).replace("_", " ")


def _no_parameters(units: Sequence[Mapping[str, Any]], sparsity: float) -> Parameters:
    return {}


@dataclass(frozen=True)
class AllocationSpec:
    """One allocation. `make`: with parameters, of which missing ones have their default.

    `grid`: the settings among which a tuning chooses, from the default one, units (with size and depth) and a sparsity;
    None where there is nothing to tune. `default`: the parameters of the default setting, from units and sparsity.
    `variant_of`: the allocation of which this one is a variant.
    """

    name: str
    make: Callable[[Parameters], Made]
    stage: Stage = "statistics"
    grid: Callable[[Setting, Sequence[Mapping[str, Any]], float], Iterable[Setting]] | None = None
    default: Callable[[Sequence[Mapping[str, Any]], float], Parameters] = field(default=_no_parameters)
    variant_of: str = ""
