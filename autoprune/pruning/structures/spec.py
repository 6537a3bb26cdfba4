"""What an importance of structures reads and returns. Does not import torch.

A module of this package defines the method of its own name as `SPEC`, which `table` collects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CHANNEL, HEAD, BLOCK = "channel", "head", "block"
KINDS = (CHANNEL, HEAD, BLOCK)
"""A channel: a row of gate and up with a column of down. A head: one key-value group with its query heads. A block: a
whole decoder block."""
COMPENSATIONS = ("none", "bias", "least-squares")
"""What becomes of the layer that read a removed structure (`compensation.mean_bias`, `least_squares`)."""


@dataclass(frozen=True)
class Part:
    """One matrix of some structures, with the statistics of its layer.

    `weight` [out, in], float32. `axis`: 0 if structures hold rows, 1 if they hold columns. Each structure holds equally
    many neighbours, in order. `statistic`: from a name (`fields.LAYER_FIELDS`, `EXPENSIVE_FIELDS`) to a tensor.
    """

    weight: "Tensor"
    axis: int
    statistic: "Callable[[str], Tensor]"


@dataclass(frozen=True)
class Structures:
    """Some structures of one decoder block: its channels, its head groups, or the block itself (`count` 1).

    `parts`: the matrices that hold them; the last one reads what the others produce, unless the structure is a block.
    `influence`: of the block on its hidden states (ShortGPT), where a method reads it.
    """

    kind: str
    count: int
    parts: Sequence[Part]
    influence: float | None = None

    @property
    def consumer(self) -> Part:
        """The matrix whose columns the structures feed: the down or the output projection."""
        return self.parts[-1]

    def sums(self, values: "Tensor", axis: int) -> "Tensor":
        """Sums [count] of non-negative values [out, in] over the rows (axis 0) or columns (1) of each structure."""
        return self.of_features(values.sum(1 - axis))

    def of_features(self, values: "Tensor") -> "Tensor":
        """Sums [count] of values [count * size] over the neighbours that belong to a structure."""
        return values.reshape(self.count, -1).sum(1)


Score = Callable[[Structures], "Tensor"]
"""An importance per structure, float32 [count], higher = keep."""
LossWithout = Callable[[frozenset[int]], float]
"""The mean loss in nats of the model without some decoder blocks."""
Choose = Callable[[int, int, LossWithout], list[int]]
"""From the number of blocks and how many to remove to the removed ones, ascending."""


@dataclass(frozen=True)
class StructureSpec:
    """One method. `title`: what it is, for people; `kinds`: the structures that it ranks; `reads`: the statistics it
    needs beside weights and input moments: gradient, influence. `score` or, of blocks alone, `choose`."""

    title: str
    kinds: tuple[str, ...]
    score: Score | None = None
    reads: tuple[str, ...] = ()
    choose: Choose | None = None
