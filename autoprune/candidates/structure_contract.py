"""The contract of structured candidates, whose source says what they rank. Does not import torch.

A structured candidate is a Python source with

- `STRUCTURE = "channel" | "head" | "block"`, or a tuple of several: the kinds of structures that it ranks. A literal.
- `score(structures) -> Tensor`: an importance per structure, [count], finite, higher = keep. Required. `structures` has
  the fields of `STRUCTURE_FIELDS`, its parts those of `PART_FIELDS`; it holds the structures of one kind in one decoder
  block. Channels and heads are compared within a block, blocks with each other.
- `update(structures, kept) -> Tensor`: optional; the new weight of the consumer for the kept structures,
  [len(kept), size, out], floating point, finite. `kept`: their indices, int64, ascending. `structures.consumer.weight[
  kept]` is the weight as it is. Not for blocks.

Trusted code removes the structures, builds the smaller model, counts its parameters and measures it. Rules for imports,
repeatability and size are those of `contract.py`. `GROUP`, `UNIT`, `allocate`, `refine` and `PARAMS` have no meaning
here: the screen refuses them.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache

from autoprune.pruning.fields import PART_FIELDS, STRUCTURE_FIELDS
from autoprune.pruning.structures.spec import BLOCK, KINDS
from autoprune.syntax import NotPython, shared_tree

__all__ = [
    "INFLUENCE",
    "NAME",
    "PARAMETERS",
    "PART_FIELDS",
    "STRUCTURE_FIELDS",
    "UNUSED",
    "StructureProblem",
    "is_structured",
    "literal",
    "problems",
    "reads_influence",
    "structures_ranked",
    "updates_consumer",
]
NAME = "STRUCTURE"
INFLUENCE = "influence"
PARAMETERS = {"score": ("structures",), "update": ("structures", "kept")}
"""The functions of a structured candidate that trusted code calls, with their parameters."""
UNUSED = ("GROUP", "UNIT", "PARAMS", "allocate", "refine")
"""Names of the other contract that a structured candidate must not define."""


class StructureProblem(ValueError):
    """`STRUCTURE` is not as the contract says. `line`: of its assignment."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"{NAME} {problem}")
        self.line = line


@lru_cache(maxsize=256)
def structures_ranked(source: str) -> tuple[str, ...]:
    """The kinds of structures that a source ranks, in the order of KINDS; empty for one that scores single weights.

    Decided by its text alone: what a worker says about it does not count. Raises StructureProblem if `STRUCTURE` is
    assigned but no literal of known kinds.
    """
    try:
        assignments = list(_assignments(shared_tree(source)))
    except NotPython:
        return ()
    if not assignments:
        return ()
    if len(assignments) > 1:
        raise StructureProblem(assignments[1][0], "is assigned more than once")
    line, node = assignments[0]
    elements = node.elts if isinstance(node, ast.Tuple | ast.List) else [node]
    kinds = [element.value if isinstance(element, ast.Constant) else None for element in elements]
    if not kinds or not all(kind in KINDS for kind in kinds):
        words = ", ".join(f'"{kind}"' for kind in KINDS)
        raise StructureProblem(line, f"must be one of {words}, or a tuple of several, written as a literal")
    return tuple(kind for kind in KINDS if kind in kinds)


def is_structured(source: str) -> bool:
    """Whether a source assigns `STRUCTURE`, in whatever way."""
    try:
        return bool(structures_ranked(source))
    except StructureProblem:
        return True


def updates_consumer(source: str) -> bool:
    """Whether a structured source defines `update(structures, kept)`: a plain function at its top level."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == "update" for node in tree.body)


def reads_influence(source: str) -> bool:
    """Whether a source names the attribute `influence`, which is collected on demand."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return False
    return any(isinstance(node, ast.Attribute) and node.attr == INFLUENCE for node in ast.walk(tree))


def literal(kinds: tuple[str, ...]) -> str:
    """The kinds as a source writes them: "channel", or ("channel", "head")."""
    quoted = [f'"{kind}"' for kind in KINDS if kind in kinds]
    return quoted[0] if len(quoted) == 1 else f"({', '.join(quoted)})"


def problems(source: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, message) of every violation of this contract by a source, apart from signatures and imports."""
    try:
        kinds = structures_ranked(source)
    except StructureProblem as problem:
        yield problem.line, str(problem)
        return
    for node in tree.body:
        for name in _defined(node):
            if name in UNUSED:
                yield node.lineno, f"{name} has no meaning in a candidate with {NAME}; remove it"
            elif name == "update" and kinds == (BLOCK,):
                yield node.lineno, "removed blocks have no consumer; remove update"


def _assignments(tree: ast.Module) -> Iterator[tuple[int, ast.expr]]:
    """All assignments to `STRUCTURE` at the top level."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and any(map(_is_name, targets)):
            yield node.lineno, node.value


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == NAME


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
