"""The specification of a weight update: its functions, and how it chooses masks if it can. Does not import torch.

A module of this package defines the update of its own name as `SPEC`, which `table` collects.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Prepare(Protocol):
    """The part of an update that depends on the inputs only."""

    def __call__(self, hessian: "Tensor", /) -> Any:
        """What `apply` and `choose` need of a layer Hessian [in, in] (float32, of any scale).

        Layers with the same inputs (q, k, v) share it. Raises AutoPruneError if the Hessian cannot be used.
        """


class Apply(Protocol):
    """An update under a given mask."""

    def __call__(self, weight: "Tensor", mask: "Tensor", prepared: Any, /) -> "Tensor":
        """A new weight of the given dtype, zero where the mask [out, in] (bool, True = keep) is False."""


class Choose(Protocol):
    """An update that chooses its mask on the way."""

    def __call__(
        self, weight: "Tensor", zeros: int, prepared: Any, pattern: tuple[int, int] | None, /
    ) -> tuple["Tensor", "Tensor"]:
        """The new weight of the given dtype and its mask, both [out, in], with `zeros` pruned weights or a pattern."""


@dataclass(frozen=True)
class UpdateSpec:
    """One update. `apply`: under a given mask; None if the update always chooses its own.

    `choose`: with masks of its own, which replaces the score `chooses_with`: the published score that the update's
    paper starts from. `title`: the algorithm for a reader of prompts and notices. `tuned_as`: a cheaper update, with
    which allocations are tuned in place of this one.
    """

    title: str
    prepare: Prepare
    apply: Apply | None = None
    choose: Choose | None = None
    chooses_with: str = ""
    tuned_as: str = ""
