"""The layers of a model as the mathematics use them: names, shapes, and access to weights and statistics."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
        """Number of weights."""
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
