"""The candidate's contract: what a pruning algorithm's source may define, what it is given, what it must return.

This module is the one place where the contract is stated. The worker that runs candidates, the source screen, the
prompts and the docs all take it from here. It imports no torch.

A candidate is a Python source with

- `score(layer) -> Tensor`: importance per weight, of `layer.weight`'s shape, finite, higher = keep. Required.
- `GROUP = "row" | "matrix"`: within what the scores are compared. Optional, default "row".
- `allocate(units, sparsity) -> list[float]`: optional; one raw density per unit, which trusted code projects onto the
  exact budget. `units` is a list of objects with the fields of `UNIT_FIELDS`. Without it SDSA allocates.
- `UNIT = "block" | "module" | "projection"`: to what `allocate` gives a density each: a decoder block, a single matrix,
  or a kind of matrix inside a block. Optional; the default is the run's own.

Both functions depend on their arguments alone. A fresh process that is asked for single layers, in any order, gives the
same bits, or the candidate is not repeatable and wins nothing.
"""

import ast
from dataclasses import dataclass

from autoprune.syntax import NotPython, parse

ALLOWED_IMPORTS = ("torch", "math")
GROUPS = ("row", "matrix")
DEFAULT_GROUP = "row"
UNITS = ("block", "module", "projection")
ROLES = ("q", "k", "v", "qkv", "o", "gate", "up", "gate_up", "down", "other")
MAX_SOURCE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Field:
    """One attribute that a candidate may read: its name, its shape or type, and one line about it."""

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
    Field("gradient", "[out, in]", "mean over the calibration windows of the absolute gradient of a window's loss"),
    Field("hessian", "[in, in]", "the full layer Hessian X X^T / tokens"),
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


def expensive_fields_named(source: str) -> tuple[str, ...]:
    """The on-demand statistics that a source asks for, by naming them as an attribute of `layer`."""
    try:
        tree = parse(source)
    except NotPython:
        return ()
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(field.name for field in EXPENSIVE_FIELDS if field.name in named)
