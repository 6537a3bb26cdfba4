"""The specification of a mask refinement: its function, and the statistics that it reads. Does not import torch.

A module of this package defines the refinement of its own name as `SPEC`, which `table` collects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

SWAP_ROUNDS = 16
"""Rounds of the refinement `swaps`; more rounds gain little (`benchmarks/exchanges.py`)."""

Statistic = Callable[[str], "Tensor"]
"""From the name of a layer's statistic (`fields.LAYER_FIELDS`, `EXPENSIVE_FIELDS`) to its tensor."""


class Refine(Protocol):
    """The function of a refinement."""

    def __call__(
        self,
        weight: "Tensor",
        mask: "Tensor",
        statistic: Statistic,
        pattern: tuple[int, int] | None,
        rounds: int | None,
        /,
    ) -> "Tensor":
        """A new mask [out, in] (bool, True = keep) with as many kept weights per row, or per m neighbours.

        `weight` [out, in] in any floating dtype, on the mask's device. `rounds`: None for no limit; a refinement
        without rounds ignores them. Deterministic.
        """


@dataclass(frozen=True)
class RefinementSpec:
    """One refinement. `title`: what improves a mask, for people. `reads`: names of the statistics that it reads.

    `rounds`: the usual number of rounds, each of which takes about the same time; 1 for a refinement without rounds.
    """

    title: str
    refine: Refine
    reads: tuple[str, ...]
    rounds: int = 1
