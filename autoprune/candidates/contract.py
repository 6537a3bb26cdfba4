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

from autoprune.pruning.fields import EXPENSIVE_FIELDS, GROUPS, LAYER_FIELDS, ROLES, UNIT_FIELDS, UNITS, Field
from autoprune.syntax import NotPython, parse

__all__ = [
    "ALLOWED_IMPORTS",
    "DEFAULT_GROUP",
    "EXPENSIVE_FIELDS",
    "GROUPS",
    "LAYER_FIELDS",
    "MAX_SOURCE_BYTES",
    "ROLES",
    "UNITS",
    "UNIT_FIELDS",
    "Field",
    "expensive_fields_named",
]
ALLOWED_IMPORTS = ("torch", "math")
DEFAULT_GROUP = "row"
MAX_SOURCE_BYTES = 64 * 1024


def expensive_fields_named(source: str) -> tuple[str, ...]:
    """The on-demand statistics that a source asks for, by naming them as an attribute of `layer`."""
    try:
        tree = parse(source)
    except NotPython:
        return ()
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(field.name for field in EXPENSIVE_FIELDS if field.name in named)
