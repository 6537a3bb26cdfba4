"""The part of the candidate's contract that the mathematics share: fields of layers and units. Does not import
torch."""

from dataclasses import dataclass
from typing import Literal, get_args

GROUPS = ("row", "matrix")
Unit = Literal["block", "module", "projection"]
"""What gets a sparsity of its own: a decoder block, one linear module, or one projection type inside a block."""
UNITS: tuple[str, ...] = get_args(Unit)
ROLES = ("q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "other")


@dataclass(frozen=True)
class Field:
    """One attribute that a candidate may read: its name, its shape or type, and its meaning."""

    name: str
    shape: str
    meaning: str


LAYER_FIELDS = (
    Field("weight", "[out, in]", "the dense weight matrix, float32"),
    Field("input_norm", "[in]", "L2 norm of each input feature over the calibration tokens"),
    Field("input_mean", "[in]", "mean of each input feature"),
    Field("input_var", "[in]", "variance of each input feature"),
    Field("hessian_diag", "[in]", "mean square of each input feature (diagonal of the layer Hessian, X X^T / tokens)"),
    Field("name", "str", "module name"),
    Field("role", "str", "one of " + ", ".join(ROLES)),
    Field("depth", "float", "position of the decoder block: 0.0 first, 1.0 last"),
    Field("sparsity", "float", "the share of weights that will be pruned in this layer's unit"),
    Field("pattern", "str", "none, or N:M (2:4): of M neighbours along the inputs N are kept, whatever GROUP says"),
)

EXPENSIVE_FIELDS = (
    Field(
        "gradient",
        "[out, in]",
        "mean of |dL/dW| over the calibration windows, L a window's mean loss per token",
    ),
    Field("hessian", "[in, in]", "the full layer Hessian X X^T / tokens"),
    Field(
        "output_sensitivity",
        "[out]",
        "mean square of dL/dy over the calibration tokens, y an output of the layer, L a window's summed loss",
    ),
)
"""Collected on demand only: a source has them when it names them."""

UNIT_FIELDS = (
    Field("name", "str", "unit name (one decoder block, or as UNIT says)"),
    Field("size", "int", "prunable weights in the unit"),
    Field("depth", "float", "0.0 first, 1.0 last"),
    Field("role", "str", "the role of the unit's matrices where they have but one, else mixed"),
    Field("skewness", "float", "skewness of |weight|, weighted over the unit's matrices"),
    Field("weight_norm", "float", "root mean square of the unit's weights"),
    Field("input_norm", "float", "root mean square of the unit's layer inputs"),
    Field("outlier_share", "float", "share of Wanda scores above 5 times their mean (OWL, M = 5)"),
)

STRUCTURE_FIELDS = (
    Field("kind", "str", "channel, head or block"),
    Field("count", "int", "number of these structures in the decoder block (1 for the block itself)"),
    Field("keep", "int", "how many of them will be kept, equally many in every block (blocks: of the whole model)"),
    Field("share", "float", "the share of the decoder blocks' parameters that is removed"),
    Field("depth", "float", "position of the decoder block: 0.0 first, 1.0 last"),
    Field("block", "int", "number of the decoder block"),
    Field("influence", "float", "ShortGPT's influence of the block: mean 1 - cosine of its input and output"),
    Field("parts", "list", "the matrices that hold the structures, in the order of computation"),
    Field("consumer", "part", "the last part, which reads what the structures produce; None for blocks"),
)
"""What a structured candidate reads; `influence` only if its source names it."""

PART_FIELDS = (
    Field("role", "str", "one of " + ", ".join(ROLES)),
    Field("name", "str", "module name"),
    Field("weight", "[count, size, in]", "rows by structure, float32; of the consumer its columns: [count, size, out]"),
    Field("input_norm", "[in]", "L2 norm of each input feature; of the consumer [count, size]"),
    Field("input_mean", "[in]", "mean of each input feature; of the consumer [count, size]"),
    Field("input_var", "[in]", "variance of each input feature; of the consumer [count, size]"),
    Field("hessian_diag", "[in]", "mean square of each input feature; of the consumer [count, size]"),
    Field("gradient", "like weight", "mean of |dL/dW| over the calibration windows"),
    Field("hessian", "[in, in]", "X X^T / tokens; of the consumer over count * size features, structure by structure"),
    Field("output_sensitivity", "[count, size]", "mean square of dL/dy of each output; of the consumer [out]"),
)
"""What a structured candidate reads of a part; the last three only if its source names them."""
