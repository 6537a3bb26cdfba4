"""The layers of a model as the mathematics use them, and the interface of an algorithm that scores them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from autoprune.pruning.structure_view import StructureSet

THIRDS = ("first third", "middle third", "last third")


@dataclass(frozen=True)
class LayerInfo:
    """One prunable matrix: its module name, role, decoder block, depth in [0, 1], shape [out, in], and unit."""

    name: str
    role: str
    block: int
    depth: float
    shape: tuple[int, int]
    unit: str

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def third(self) -> str:
        """The third of the depth that the layer is in."""
        return THIRDS[min(int(self.depth * len(THIRDS)), len(THIRDS) - 1)]


LayerView = SimpleNamespace
"""The argument of a candidate's `score`: the contract's fields as attributes."""


class LayerEdit(NamedTuple):
    """What an algorithm makes of a layer: its final mask [out, in], bool, True = keep, and the new weight [out, in] in
    the model's dtype, +0.0 where the mask is False; None if the kept weights stay as they are."""

    name: str
    mask: "Tensor"
    weight: "Tensor | None"

    def to(self, device: "torch.device") -> "LayerEdit":
        """The same on a device."""
        return LayerEdit(self.name, self.mask.to(device), None if self.weight is None else self.weight.to(device))


class MakeMask(Protocol):
    """Trusted code that makes the mask [out, in] of a layer from its scores [out, in]."""

    def __call__(self, name: str, score: "Tensor", /) -> "Tensor": ...


class Readable(Protocol):
    """Weights and statistics of some layers: a bundle, or one block on a walk."""

    layers: list[LayerInfo]

    @property
    def path(self) -> Path:
        """A bundle directory with the same content, for sandboxes."""

    def view(self, name: str, sparsity: float, pattern: str = "none") -> LayerView:
        """A layer with the fields of the contract."""


class Session(Protocol):
    """An algorithm that was opened on weights and statistics: a published score, or a candidate in its own processes.

    Not thread-safe. Ends with its context manager.
    """

    group: str
    """What scores are compared within: one of contract.GROUPS."""
    unit: str | None
    """The units of `allocate`: one of contract.UNITS; None if it does not specify it."""
    has_allocate: bool
    """Whether it defines `allocate`."""
    edits_defined: frozenset[str]
    """Which of contract.EDITS it defines, so that `edits` is to be called instead of `scores`."""

    @property
    def diagnostics(self) -> str:
        """The output so far, bounded and without control characters. Never used as a measurement."""

    @property
    def memory(self) -> int | None:
        """Peak growth of its processes in bytes, measured by the kernel; None if unknown."""

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """Raw densities, one finite number per unit, not yet projected onto the budget.

        Raises CandidateFailure (stage "allocate").
        """

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """Score layer by layer: (name, float32 [out, in]), each a copy, checked for shape and finiteness.

        `sparsity`: of every requested layer's unit; `layers`: by default all, in their order; `pattern`:
        the N:M pattern of the masks, or none. Raises CandidateFailure (stage "score" or "check"), which ends the
        session.
        """

    def edits(
        self,
        sparsity: Mapping[str, float],
        make_mask: MakeMask,
        layers: Sequence[str] | None = None,
        pattern: str = "none",
    ) -> Iterator[LayerEdit]:
        """Score layer by layer, refine the mask and update the weight.

        `make_mask` makes a layer's mask from its scores, on the CPU; it is called in the order of `layers`, one or two
        layers ahead of what is yielded. Masks and weights are copies, checked as the contract says. Other arguments and
        failures are those of `scores`, with the stages "refine" and "update".
        """

    def importances(self, sets: Sequence["StructureSet"]) -> Iterator["Tensor"]:
        """Of an algorithm that ranks structures: their importances, float32 [count] for each set, in order. Each is a
        copy, checked for shape and finiteness. Raises CandidateFailure like `scores`."""

    def consumer(self, structures: "StructureSet", kept: "Tensor") -> "Tensor":
        """The new weight [out, kept inputs] of the layer that reads the structures, in the model's dtype, finite.

        `kept`: indices, int64, ascending. Only of an algorithm that defines `update`. Raises CandidateFailure with the
        stages "update" and "check".
        """

    def repeats(self) -> bool | None:
        """Repeat a random sample of the questions in a fresh process: whether all answers are equal bit by bit.

        None if there was no question. An algorithm with False is not deterministic or depends on earlier calls, and
        cannot win.
        """
