"""The reading order of a long source: docstring, `score`, settings, `allocate`, then helpers, which are folded.

Every line of the source except blank ones is in exactly one part of its outline.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from autoprune.syntax import NotPython, parse

WHOLE = 40
"""Maximum lines of a source that is shown completely in its own order."""
HELPER = 6
"""Maximum lines of a helper that is not folded."""
SAVED = 3
"""Minimum lines that a fold must hide."""
ENTRIES = ("score", "refine", "update")
"""Functions that the sandbox calls with a layer, which are never folded."""

_DOCSTRING, _ENTRY, _SETTING, _ALLOCATE, _HELPER = 0, 1, 10, 20, 30
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Part:
    """`count` lines of a source from line `first`, of which only the first `head` are shown when folded."""

    first: int
    count: int
    head: int

    @property
    def folded(self) -> int:
        return self.count - self.head


def is_long(source: str) -> bool:
    """Whether a source is shown by its outline."""
    return len(lines_of(source)) > WHOLE


def lines_of(source: str) -> list[str]:
    """The lines of a source as counted by Python."""
    return source.replace("\r\n", "\n").removesuffix("\n").split("\n")


def outline(source: str) -> list[Part]:
    """The parts in reading order; a single part for a short source and for one that cannot be parsed."""
    lines = lines_of(source)
    everything = [Part(1, len(lines), len(lines))]
    if len(lines) <= WHOLE:
        return everything
    try:
        body = parse(source).body
    except NotPython:
        return everything
    ranked = []
    end = 0
    for statements in _groups(body):
        last = statements[-1].end_lineno or end
        if statements[-1] is body[-1]:
            last = len(lines)
        ranked.append((_rank(statements, first=not end), _part(lines, end + 1, last, statements)))
        end = last
    return [part for _, part in sorted(ranked, key=lambda entry: entry[0])] or everything


def _groups(body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Statements of the module, grouped if they share a line."""
    group: list[ast.stmt] = []
    for statement in body:
        if group and _start(statement) > (group[-1].end_lineno or 0):
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def _start(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, _Definition) else []
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _rank(statements: list[ast.stmt], first: bool) -> int:
    if first and len(statements) == 1 and _is_text(statements[0]):
        return _DOCSTRING
    bound = {name for statement in statements for name in _bound(statement)}
    for place, name in enumerate(ENTRIES):
        if name in bound:
            return _ENTRY + place
    if "allocate" in bound:
        return _ALLOCATE
    return _HELPER if _is_helper(statements) else _SETTING


def _part(lines: list[str], first: int, last: int, statements: list[ast.stmt]) -> Part:
    """A group with the comments above it, without blank lines around it."""
    while first < last and not lines[first - 1].strip():
        first += 1
    while first < last and not lines[last - 1].strip():
        last -= 1
    count = last - first + 1
    statement = statements[0]
    own = (statement.end_lineno or last) - _start(statement) + 1
    if not _is_helper(statements) or own <= HELPER or _bound(statement) & {*ENTRIES, "allocate"}:
        return Part(first, count, count)
    head = _head(lines, statement) - first + 1
    return Part(first, count, head if count - head >= SAVED else count)


def _head(lines: list[str], helper: ast.stmt) -> int:
    """The last line of a helper's signature, or of the first line of its docstring."""
    assert isinstance(helper, _Definition)
    inside = helper.body[0]
    if not _is_text(inside):
        return max(helper.lineno, _start(inside) - 1)
    opening = lines[inside.lineno - 1].strip().lstrip("rRuU")
    alone = opening in ('"""', "'''") and inside.lineno < (inside.end_lineno or 0)
    return inside.lineno + alone


def _is_helper(statements: list[ast.stmt]) -> bool:
    """Whether a group is a single definition without `global` statements."""
    [statement, *others] = statements
    if others or not isinstance(statement, _Definition):
        return False
    return not any(isinstance(node, ast.Global) for node in ast.walk(statement))


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of the module binds, also within `if`, `try` and loops."""
    names: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Definition):
            names.add(node.name)
            continue
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return names
