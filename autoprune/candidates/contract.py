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
- `refine(layer, mask) -> mask`: optional; a better mask with the same budget, bool of the weight's shape, True = keep.
  `mask` is the one that trusted code made from the scores. The number of kept weights must stay the same in each row
  for GROUP "row", in the matrix for GROUP "matrix", in each group of M neighbours under an N:M pattern. A kept weight
  that is 0 in the dense model is wasted: the layer then has more zeros than its budget.
- `update(layer, mask) -> weight`: optional; new values for the weights that the final mask keeps, floating point of the
  weight's shape, zero where the mask is False, finite in float32 and in the model's dtype. A candidate that defines it
  is in the league "with update".

It imports torch, math and the functions of `autoprune.kit`, and nothing else. `refine` and `update` are functions at
the top level of the source whose first parameter is called `layer` (`edits_defined`): a source of the first version may
have helpers of these names.

A source with `STRUCTURE` ranks structures instead of weights and has another contract (`structure_contract.py`).

All functions must depend on their arguments only. A fresh process that is asked about single layers in any order must
give the same bits, otherwise the candidate is not repeatable and is rejected.
"""

import ast
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeGuard

from autoprune.candidates.structure_contract import is_structured, updates_consumer
from autoprune.leagues import COMPENSATED, MASK_ONLY, STRUCTURED, WITH_UPDATE, League
from autoprune.pruning.fields import EXPENSIVE_FIELDS, GROUPS, LAYER_FIELDS, ROLES, UNIT_FIELDS, UNITS, Field
from autoprune.syntax import NotPython, shared_tree

__all__ = [
    "ALLOWED_IMPORTS",
    "DEFAULT_GROUP",
    "EDITS",
    "EDITS_DESCRIBED",
    "EXPENSIVE_FIELDS",
    "GROUPS",
    "KIT",
    "LAYER_FIELDS",
    "MAX_SOURCE_BYTES",
    "ROLES",
    "UNITS",
    "UNIT_FIELDS",
    "Field",
    "edits_defined",
    "expensive_fields_named",
    "import_allowed",
    "imports_in_words",
    "league_of",
]
ALLOWED_IMPORTS = ("torch", "math")
"""Modules that a candidate may import with all that is in them."""
KIT = "autoprune.kit"
"""The one module of this package that a candidate may import, unless `agents.kit` is off. What it uses of
found functions, `kit.found.NAME`, is inlined before (`inlining.py`)."""
DEFAULT_GROUP = "row"
MAX_SOURCE_BYTES = 64 * 1024
EDITS = {"refine": ("layer", "mask"), "update": ("layer", "mask")}
"""The optional functions that change masks and weights, with their parameters."""
EDITS_DESCRIBED = {
    "refine": "`refine(layer, mask) -> Tensor` (optional): a better mask, bool of the shape of `layer.weight`, True = "
    "keep. `mask` is the one that trusted code made from your scores. Keep as many weights as it does: in every row "
    'with GROUP "row", in the whole matrix with GROUP "matrix", and under an N:M pattern (`layer.pattern`) in every '
    "group of M neighbours along the inputs, whatever GROUP says. A kept weight that is already 0 is wasted.",
    "update": "`update(layer, mask) -> Tensor` (optional): new values for the weights that the final mask keeps, "
    "float32 of the shape of `layer.weight`, zero where `mask` is False, finite also in the model's dtype. With D the "
    "dense minus the new weight, the mean squared error of output row r is D_r H D_r^T, where H is `layer.hessian`: "
    "the kept weights can make up for the pruned ones.",
}
"""What the prompts say about EDITS."""


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


def league_of(source: str) -> League:
    """The league of a candidate: with update or compensated if it defines an `update`."""
    if is_structured(source):
        return COMPENSATED if updates_consumer(source) else STRUCTURED
    return WITH_UPDATE if "update" in edits_defined(source) else MASK_ONLY


def expensive_fields_named(source: str) -> tuple[str, ...]:
    """The on-demand statistics whose names occur in a source, as attributes or strings."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return ()
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(field.name for field in EXPENSIVE_FIELDS if field.name in names)


@lru_cache(maxsize=256)
def edits_defined(source: str) -> frozenset[str]:
    """Which of EDITS a source defines; none for one that ranks structures, whose `update` is another function.

    Decided by its text alone: what a worker says about it does not count.
    """
    if is_structured(source):
        return frozenset()
    try:
        tree = shared_tree(source)
    except NotPython:
        return frozenset()
    return frozenset(node.name for node in tree.body if is_edit(node))


def is_edit(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Whether a statement at the top level defines one of EDITS, and not a helper of that name."""
    if not isinstance(node, ast.FunctionDef) or node.name not in EDITS:
        return False
    parameters = [*node.args.posonlyargs, *node.args.args]
    return bool(parameters) and parameters[0].arg == "layer"
