"""Uses of the kit in a candidate's source, under any imported name."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from autoprune.candidates.contract import KIT

FOUND = f"{KIT}.found"
"""The module by whose name candidates use found functions. There is no such module: they are inlined."""


@dataclass
class Uses:
    """Where a source uses members of a module such as `autoprune.kit`: expressions, and imports of single names."""

    expressions: list[tuple[ast.expr, str]] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)
    """Name in the source -> name of the member."""
    statements: list[tuple[ast.stmt, ast.stmt | None]] = field(default_factory=list)
    """Import statements, and what is left of them without the module."""

    @property
    def names(self) -> list[str]:
        """The members that are used, in order."""
        members = [name for _, name in sorted(self.expressions, key=lambda each: each[0].lineno)]
        return list(dict.fromkeys([*members, *self.imported.values()]))


def uses_of(tree: ast.Module, module: str) -> Uses:
    """Where a tree uses members of a module, under any of the names that it imports the module or its holders by."""
    uses, holder = Uses(), module.rpartition(".")[0]
    paths: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths |= {alias.asname: alias.name for alias in node.names if alias.asname}
            roots = [alias.name.partition(".")[0] for alias in node.names if not alias.asname]
            paths |= {root: root for root in roots}
            if module != KIT and any(alias.name == module for alias in node.names):
                kept_names = [alias for alias in node.names if alias.name != module]
                uses.statements.append((node, ast.Import([*kept_names, ast.alias(KIT)])))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            paths |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if node.module == module:
                uses.imported |= {alias.asname or alias.name: alias.name for alias in node.names}
                uses.statements.append((node, None))
            elif node.module == holder and any(f"{holder}.{alias.name}" == module for alias in node.names):
                kept = [alias for alias in node.names if f"{holder}.{alias.name}" != module]
                left = ast.ImportFrom(node.module, kept, 0) if kept else None
                if module != KIT:  # the kit itself stays until nothing uses it
                    uses.statements.append((node, left))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _path(node.value, paths) == module:
            uses.expressions.append((node, node.attr))
    return uses


def _path(node: ast.expr, paths: Mapping[str, str]) -> str:
    """The dotted name of a module or of its member, as it is imported; empty for other expressions."""
    match node:
        case ast.Name(id=name):
            return paths.get(name, "")
        case ast.Attribute(value=value, attr=attr):
            path = _path(value, paths)
            return f"{path}.{attr}" if path else ""
    return ""
