"""Inlining: the found functions that a candidate uses are written into its source; `kit.found.NAME` becomes NAME.

So the content hash, the approval, the trace, the exported file and the sandbox see exactly what runs, and the sandbox
needs no found functions. This is text processing; no code runs.
"""

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoprune.candidates.contract import KIT
from autoprune.candidates.functions import bindings, renamed
from autoprune.candidates.library import FoundFunction
from autoprune.candidates.source_text import Edit, Text
from autoprune.candidates.uses import FOUND, Uses, uses_of
from autoprune.syntax import NotPython, parse

INLINED = "# kit.found.{name}, inlined by autoprune"


@dataclass(frozen=True)
class Block:
    """Definitions to inline: imports, then constants and functions. `names`: those that a candidate may use."""

    source: str
    names: tuple[str, ...]
    title: str


def inlined(source: str, library: Mapping[str, FoundFunction]) -> str:
    """The source with the found functions that it uses.

    Unchanged if it uses none, or one that does not exist, which the source screen then reports.
    """
    try:
        tree = parse(source)
    except NotPython:
        return source
    uses = uses_of(tree, FOUND)
    if not uses.names or not library.keys() >= set(uses.names) or not takes_blocks(tree, uses):
        return source
    blocks = [Block(library[name].source, (name,), INLINED.format(name=name)) for name in uses.names]
    try:
        return without_unused(with_blocks(source, blocks, FOUND))
    except NotPython:  # names or strings that cannot be written out
        return source


def takes_blocks(tree: ast.Module, uses: Uses) -> bool:
    """Whether definitions mean the same in a source.

    No name of a builtin is bound there, no member twice, and no import within a function has a name of the top level.
    """
    names = bindings(tree).keys()
    hidden = {"*", *vars(builtins)} & names
    inner = {name for node, _ in uses.statements if node not in tree.body for name in _imported_names(node)}
    return not hidden and not inner & names and len(set(uses.imported.values())) == len(uses.imported)


def _imported_names(node: ast.stmt) -> set[str]:
    aliases = node.names if isinstance(node, ast.Import | ast.ImportFrom) else []
    return {alias.asname or alias.name for alias in aliases}


def with_blocks(source: str, blocks: Iterable[Block], module: str) -> str:
    """The source with definitions in place of the members of a module."""
    tree, text = parse(source), Text(source)
    uses, head = uses_of(tree, module), _head(tree)
    names, imports, bodies = _arranged(tree, blocks, {member: name for name, member in uses.imported.items()})
    edits = [Edit(text.start(node), text.end(node), names[name]) for node, name in uses.expressions]
    for node, left in uses.statements:
        whole = Edit(text.start(node), text.end(node), ast.unparse(left)) if left else _gone(text, tree, node)
        edits.append(whole)
    added = "".join(f"{line}\n" for line in imports) + "".join(f"\n\n{body}\n" for body in bodies)
    edits.append(_insertion(text, head, added))
    removed = {id(node): left for node, left in uses.statements}
    kept = sum(removed.get(id(node), node) is not None for node in head)
    expected = _Replaced({id(node): names[name] for node, name in uses.expressions}, removed).module(tree)
    expected.body[kept:kept] = parse(added).body
    return text.edited(edits, expected)


def _insertion(text: Text, head: Sequence[ast.stmt], added: str) -> Edit:
    """The insertion of text behind the head of a source, or before all of a source without one."""
    if not added:
        return Edit(0, 0, "")
    place = text.next_line(head[-1]) if head else 0
    before, after = text.split(place)
    start = "\n" if before and not before.endswith("\n") else ""
    end = "" if not after.strip() or after.startswith("\n") else "\n\n"
    return Edit(place, place, f"{start}{added if head else added.lstrip()}{end}")


def _arranged(
    tree: ast.Module, blocks: Iterable[Block], wanted: Mapping[str, str]
) -> tuple[dict[str, str], list[str], list[str]]:
    """Blocks under names that a tree does not have: names of members, imports that are missing, and texts to insert.

    `wanted`: member -> the name that the tree imports it by.
    """
    bound, taken = bindings(tree), _names(tree) | vars(builtins).keys()
    members: dict[str, str] = {}
    imports, bodies = [], []
    for block in blocks:
        if not wanted.keys() & set(block.names) and _is_held(block, bound):
            members |= {name: name for name in block.names}
            continue
        names = {}
        for name, statement in bindings(parse(block.source)).items():
            is_import = isinstance(statement, ast.Import | ast.ImportFrom)
            if is_import and _same(bound.get(name), statement):
                continue
            names[name] = wanted.get(name, "") * (name in block.names) or _free(name, taken)
            taken.add(names[name])
            if isinstance(statement, ast.Import | ast.ImportFrom):
                alias = statement.names[0]
                statement.names = [ast.alias(alias.name, None if names[name] == alias.name else names[name])]
                imports.append(ast.unparse(statement))
                bound[names[name]] = statement
        bodies.append(f"{block.title}\n{_body(renamed(block.source, names))}")
        members |= {name: names[name] for name in block.names}
    return members, imports, bodies


def without_unused(source: str, module: str = KIT) -> str:
    """The source without imports of a module that nothing uses any more."""
    tree, text = parse(source), Text(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    unused = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _binds(node, module) not in {"", *used}]
    if not unused:
        return source
    edits = [_gone(text, tree, node) for node in unused]
    return text.edited(edits, _Replaced({}, {id(node): None for node in unused}).module(tree))


def _binds(node: ast.stmt, module: str) -> str:
    """The name by which a statement imports a module and nothing else; empty for other statements."""
    match node:
        case ast.Import(names=[ast.alias(name=name, asname=alias)]) if name == module:
            return alias or name.partition(".")[0]
        case ast.ImportFrom(module=holder, names=[ast.alias(name=name, asname=alias)]):
            return (alias or name) if f"{holder}.{name}" == module else ""
    return ""


def _gone(text: Text, tree: ast.Module, node: ast.stmt) -> Edit:
    """The removal of a statement; within a function `pass` stays, since the body may not be empty."""
    return text.removed(node) if node in tree.body else Edit(text.start(node), text.end(node), "pass")


class _Replaced(ast.NodeTransformer):
    """Puts names in the place of expressions, and what is left in the place of import statements."""

    def __init__(self, names: Mapping[int, str], statements: Mapping[int, ast.stmt | None]) -> None:
        self._names = names
        self._statements = statements
        self._top: list[ast.stmt] = []

    def module(self, tree: ast.Module) -> ast.Module:
        self._top = list(tree.body)
        changed: ast.Module = self.visit(tree)
        return changed

    def generic_visit(self, node: ast.AST) -> ast.AST | None:  # type: ignore[override]
        if id(node) in self._names:
            return ast.Name(self._names[id(node)], ast.Load())
        if id(node) in self._statements:
            return self._statements[id(node)] or (None if node in self._top else ast.Pass())
        return super().generic_visit(node)


def _is_held(block: Block, bound: Mapping[str, ast.stmt]) -> bool:
    """Whether a source holds all definitions of a block already, as a child of a candidate that was inlined does."""
    return all(_same(bound.get(name), node) for name, node in bindings(parse(block.source)).items())


def _same(one: ast.stmt | None, other: ast.stmt) -> bool:
    return one is not None and ast.dump(one) == ast.dump(other)


def _names(tree: ast.Module) -> set[str]:
    """All names that a source gives to anything."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        else:
            names |= {value for key in ("id", "name", "arg") if isinstance(value := getattr(node, key, None), str)}
    return names


def _free(name: str, taken: set[str]) -> str:
    candidates: Iterator[str] = (name if number < 2 else f"{name}_{number}" for number in range(1, len(taken) + 3))
    return next(each for each in candidates if each not in taken)


def _head(tree: ast.Module) -> list[ast.stmt]:
    """The docstring and the imports at the beginning of a module."""
    start = int(ast.get_docstring(tree, clean=False) is not None)
    others = (
        at for at, node in enumerate(tree.body) if at >= start and not isinstance(node, ast.Import | ast.ImportFrom)
    )
    return tree.body[: next(others, len(tree.body))]


def _body(source: str) -> str:
    """A block's text without its imports, which come first."""
    tree, text = parse(source), Text(source)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return text.after(imports[-1]).strip() if imports else source.strip()
