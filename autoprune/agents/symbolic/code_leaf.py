"""Another candidate's code as a leaf of a formula: its top-level names are renamed, so that two sources fit into one.

This lets the symbolic engine build on a language model's code: transform its score, combine it with a formula, or add
mask exchanges to it.
"""

import ast
from dataclasses import dataclass
from functools import cache

from autoprune.candidates.contract import edits_defined
from autoprune.syntax import parse

SUFFIX = "_of_parent"
RENAMED = f"score{SUFFIX}"
_DROPPED = ("GROUP", "UNIT", "allocate")
"""Names that the new source defines itself."""


@dataclass(frozen=True)
class Embedded:
    """`imports`: import statements; `body`: the rest of the source, with all top-level names renamed."""

    imports: tuple[str, ...]
    body: str


@cache
def embedded(source: str) -> Embedded:
    """A candidate's source, ready to be inserted into another. Raises ValueError if that is not possible."""
    tree = parse(source)  # NotPython is a ValueError
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    body = [node for node in tree.body if node not in imports and not _dropped(node)]
    names = {name for node in body for name in _defined(node)}
    if "score" not in names:
        raise ValueError("no score at the top level")
    inside = {argument.arg for argument in ast.walk(tree) if isinstance(argument, ast.arg)}
    if names & inside:
        raise ValueError(
            f"{', '.join(sorted(names & inside))}: a parameter with the name of something at the top level"
        )
    renamed = _Rename(names)
    text = "\n\n".join(ast.unparse(renamed.visit(node)) for node in body)
    return Embedded(tuple(ast.unparse(node) for node in imports), text + "\n")


def can_embed(source: str) -> bool:
    """Whether a source can be inserted into another."""
    try:
        embedded(source)
    except ValueError:
        return False
    return True


def can_embed_whole(source: str) -> bool:
    """Whether `embedded` keeps all of a source's behaviour: only `score` is used from outside."""
    others = {"allocate", *edits_defined(source)}
    return can_embed(source) and not any(others & _defined(node) for node in parse(source).body)


def _dropped(node: ast.stmt) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_docstring or bool(_defined(node) & set(_DROPPED))


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    stored = (part for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    return {part.id for part in stored}


class _Rename(ast.NodeTransformer):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._new(node.id), node.ctx), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._new(node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._new(node.name)
        return self.generic_visit(node)

    def _new(self, name: str) -> str:
        return name + SUFFIX if name in self._names else name
