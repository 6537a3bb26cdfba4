"""The structures of one decoder block as a candidate reads them, and the question that asks for their importances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from autoprune.pruning.layers import LayerInfo, LayerView
from autoprune.pruning.structures.spec import BLOCK

StructureView = SimpleNamespace
"""The argument of a structured candidate's functions: the fields of `fields.STRUCTURE_FIELDS` as attributes."""
_OF_INPUTS = ("input_norm", "input_mean", "input_var", "hessian_diag")


@dataclass(frozen=True)
class StructureSet:
    """Some structures of one decoder block, as plain data: what a candidate is asked about.

    `parts`: names of the layers that hold them, with the axis along which: 0 if structures hold rows, 1 if columns; the
    last one reads what the others produce, unless the kind is block. `keep`: how many of `count` structures are kept
    (of blocks: in the whole model); `share`: of the decoder blocks' parameters, that is removed; `influence`: of the
    block on its hidden states, None where it is not read.
    """

    kind: str
    block: int
    count: int
    keep: int
    share: float
    parts: tuple[tuple[str, int], ...]
    influence: float | None = None

    @property
    def consumer(self) -> str:
        """The name of the layer whose columns the structures feed (channel, head)."""
        return self.parts[-1][0]

    def kept_shape(self, shape: tuple[int, int]) -> tuple[int, int, int]:
        """The shape [keep, size, out] of an updated consumer, whose dense weight has `shape` [out, in]."""
        return self.keep, shape[1] // self.count, shape[0]

    def question(self) -> dict[str, Any]:
        """Itself for the sandbox, as JSON."""
        return {**vars(self), "parts": [list(part) for part in self.parts]}

    @classmethod
    def asked(cls, question: dict[str, Any]) -> "StructureSet":
        """From its `question`."""
        return cls(**{**question, "parts": tuple((name, axis) for name, axis in question["parts"])})


def structure_view(
    structures: StructureSet, layers: Sequence[LayerInfo], layer: Callable[[str], LayerView]
) -> StructureView:
    """The view of some structures. `layers`: those of the model; `layer`: from a name to its view."""
    parts = [_part(layer(name), axis, structures.count) for name, axis in structures.parts]
    depth = next(info.depth for info in layers if info.block == structures.block)
    fields = {key: getattr(structures, key) for key in ("kind", "block", "count", "keep", "share", "influence")}
    consumer = None if structures.kind == BLOCK else parts[-1]
    return StructureView(**fields, depth=depth, parts=parts, consumer=consumer)


def _part(view: LayerView, axis: int, count: int) -> SimpleNamespace:
    """One matrix, whose first dimension becomes that of the structures."""

    def by_structure(matrix: Tensor) -> Tensor:
        """[out, in] as [count, size, in] where structures hold rows, as [count, size, out] where they hold columns."""
        rows = matrix.T if axis else matrix
        return rows.reshape(count, -1, rows.shape[1])

    fields = {name: value for name, value in vars(view).items() if name not in ("sparsity", "pattern", "depth")}
    for name in ("weight", "gradient"):
        if name in fields:
            fields[name] = by_structure(fields[name])
    of_structures = _OF_INPUTS if axis else ("output_sensitivity",)
    fields |= {name: fields[name].reshape(count, -1) for name in of_structures if name in fields}
    return SimpleNamespace(**fields)
