"""The candidate's contract: what the source of a pruning algorithm may define, its inputs, and its outputs.

The contract is stated only here: the worker that runs candidates, the source screen, the prompts and the docs all use
this module. It does not import torch.

A candidate is a Python source with

- `score(layer) -> Tensor`: importance per weight, of `layer.weight`'s shape, finite, higher = keep. Required.
- `GROUP = "row" | "matrix"`: the group within which scores are compared. Optional, default "row".
- `allocate(units, sparsity) -> list[float]`: optional; one raw density per unit, which trusted code projects onto the
  exact budget. `units` is a list of objects with the fields of `UNIT_FIELDS`. The default is SDSA.
- `PARAMS = {"name": (low, high)}`: numbers that the code reads as `PARAMS["name"]` and that the search tunes. Optional;
  see `parameters.py`.
- `UNIT = "block" | "module" | "projection"`: the units of `allocate`: decoder blocks, single matrices, or kinds of
  matrix within a block. Optional; the default is the run's own.

It imports torch, math and the functions of `autoprune.kit`, and nothing else.

Both functions must depend on their arguments only. A fresh process that scores single layers in any order must give the
same bits, otherwise the candidate is not repeatable and is rejected.
"""

import ast
from collections.abc import Iterable

from autoprune.pruning.fields import EXPENSIVE_FIELDS, GROUPS, LAYER_FIELDS, ROLES, UNIT_FIELDS, UNITS, Field
from autoprune.syntax import NotPython, parse

__all__ = [
    "ALLOWED_IMPORTS",
    "DEFAULT_GROUP",
    "EXPENSIVE_FIELDS",
    "GROUPS",
    "KIT",
    "LAYER_FIELDS",
    "MAX_SOURCE_BYTES",
    "ROLES",
    "UNITS",
    "UNIT_FIELDS",
    "Field",
    "expensive_fields_named",
    "import_allowed",
    "imports_in_words",
]
ALLOWED_IMPORTS = ("torch", "math")
"""Modules that a candidate may import with all that is in them."""
KIT = "autoprune.kit"
"""The one module of this package that a candidate may import, unless `agents.kit` is off."""
DEFAULT_GROUP = "row"
MAX_SOURCE_BYTES = 64 * 1024


def import_allowed(module: str, names: Iterable[str] = (), kit: bool = True) -> bool:
    """Whether a candidate may execute `import module`, or `from module import names`. `kit`: whether KIT is allowed."""
    if module.partition(".")[0] in ALLOWED_IMPORTS:
        return True
    package, _, name = KIT.rpartition(".")
    return kit and (module == KIT or (module == package and set(names) == {name}))


def imports_in_words(kit: bool = True) -> str:
    """The modules that a candidate may import: `torch, math and autoprune.kit`."""
    *first, last = (*ALLOWED_IMPORTS, *([KIT] if kit else []))
    return f"{', '.join(first)} and {last}"


def expensive_fields_named(source: str) -> tuple[str, ...]:
    """The on-demand statistics whose names occur in a source, as attributes or strings."""
    try:
        tree = parse(source)
    except NotPython:
        return ()
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(field.name for field in EXPENSIVE_FIELDS if field.name in names)
