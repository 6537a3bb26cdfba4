"""Units, which have a sparsity of their own: their signals, and the conversion of densities to zeros per layer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from autoprune.errors import CandidateFailure, UsageError
from autoprune.pruning.allocation.budget import matrix_zeros, project, unit_zeros
from autoprune.pruning.allocation.signals import BY_HESSIAN, SIGNALS, unit_key, unit_signals
from autoprune.pruning.fields import UNIT_FIELDS
from autoprune.pruning.layers import LayerInfo, Readable
from autoprune.pruning.masks import count_zeros

MIXED = "mixed"
DESCRIBED = tuple(field.name for field in UNIT_FIELDS if field.name in SIGNALS)


class LayerZeros(NamedTuple):
    """Zeros per layer, in total exactly round(s N), and the sparsity of each layer's unit, which scores can read."""

    zeros: dict[str, int]
    unit_sparsity: dict[str, float]


class Units:
    """The units of one kind (block, module, projection) over a target's layers, with signals from dense statistics.

    `with_hessians`: returns the same layers with full Hessians, for the signals that read them.
    """

    def __init__(
        self, readable: Readable, by: str = "block", with_hessians: Callable[[], Readable] | None = None
    ) -> None:
        self.members: dict[str, list[LayerInfo]] = {}
        for layer in readable.layers:
            self.members.setdefault(unit_key(layer, by), []).append(layer)
        self.sizes = [sum(layer.size for layer in layers) for layers in self.members.values()]
        self._readable = readable
        self._with_hessians = with_hessians or (lambda: readable)
        self._known: dict[str, dict[str, float]] = {name: {} for name in self.members}

    def described(self, signals: Collection[str] = DESCRIBED) -> list[dict[str, Any]]:
        """One mapping per unit, in order: name, size, depth, role and the named signals, which are cached."""
        for name, layers in self.members.items():
            missing = set(signals) & set(SIGNALS) - set(self._known[name])
            if missing:
                readable = self._with_hessians() if missing & BY_HESSIAN else self._readable
                views = [readable.view(layer.name, 0.0) for layer in layers]
                self._known[name] |= unit_signals(views, missing)
        return [
            {
                "name": name,
                "size": size,
                "depth": layers[0].depth,
                "role": layers[0].role if len({layer.role for layer in layers}) == 1 else MIXED,
                **{key: self._known[name][key] for key in signals if key in SIGNALS},
            }
            for (name, layers), size in zip(self.members.items(), self.sizes, strict=True)
        ]

    def spread(self, densities: Sequence[float], sparsity: float) -> dict[str, int]:
        """Zeros per layer, in total exactly round(s N), from densities on the budget.

        Raises UsageError if more weights are already zero.
        """
        return self.spread_totals(unit_zeros(densities, self.sizes, sparsity, self.totals(self.floors)))

    def projected(self, raw_densities: Sequence[float], sparsity: float) -> dict[str, int]:
        """Zeros per layer from a candidate's raw densities per unit.

        Raises CandidateFailure (stage allocate) if they cannot be projected onto the budget.
        """
        try:
            return self.spread(project(raw_densities, self.sizes, sparsity), sparsity)
        except UsageError as error:
            raise CandidateFailure("allocate", "shape", str(error)) from None

    def spread_totals(self, totals: Sequence[int]) -> dict[str, int]:
        """Zeros per layer from zeros per unit, in proportion to the layers' sizes."""
        return {
            layer.name: zeros
            for unit, total in zip(self.members.values(), totals, strict=True)
            for layer, zeros in zip(unit, self._matrices(unit, total), strict=True)
        }

    @cached_property
    def floors(self) -> dict[str, int]:
        """Zeros of each layer's dense weight, for example in a model that was pruned before."""
        return {layer.name: count_zeros(self._readable.view(layer.name, 0.0).weight) for layer in self._readable.layers}

    def _matrices(self, unit: Sequence[LayerInfo], total: int) -> list[int]:
        return matrix_zeros(total, [layer.size for layer in unit], [self.floors[layer.name] for layer in unit])

    def totals(self, zeros: Mapping[str, int]) -> list[int]:
        return [sum(zeros[layer.name] for layer in unit) for unit in self.members.values()]

    def sparsity(self, zeros: Mapping[str, int]) -> dict[str, float]:
        """Layer name -> sparsity of the layer's unit."""
        shares = [total / size for total, size in zip(self.totals(zeros), self.sizes, strict=True)]
        return {layer.name: share for unit, share in zip(self.members.values(), shares, strict=True) for layer in unit}
