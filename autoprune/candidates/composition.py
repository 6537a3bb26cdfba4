"""Composition of two candidates: the algorithm of one source with the allocation of another, by their syntax trees.

The allocation of a source is `allocate` and `UNIT` with all that they use; the algorithm is the rest, with all that it
uses. No code runs. Names of the allocation that the algorithm has too get a suffix, so that neither changes the other.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from autoprune.candidates.parameters import NAME as PARAMS
from autoprune.candidates.parameters import ranges, values_of, with_values
from autoprune.syntax import parse

MARK = "ALLOCATION"
"""`ALLOCATION = "parent"` in a draft without `allocate`: it keeps the allocation of its parent."""
SUFFIX = "_of_allocation"
_SPREADS = {"allocate", "UNIT"}
_READ = {"score", "GROUP", "refine", "update"}
"""Names of the algorithm that are read from outside of a source."""
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_IMPORTS = (ast.Import, ast.ImportFrom)


class Incompatible(ValueError):
    """Two sources that cannot be composed, with the reason in one line."""


def defines(source: str, name: str) -> bool:
    """Whether a source binds a name at its top level. Raises NotPython."""
    return any(name in _bound(node) for node in parse(source).body)


@lru_cache(maxsize=2048)
def allocation_of(source: str) -> str | None:
    """The allocation of a source as a text of its own; None without one. Raises NotPython."""
    source = _plain(source)
    body = parse(source).body
    if not any("allocate" in _bound(node) for node in body):
        return None
    nodes = _using(body, _SPREADS)
    imports = _imports(body, _mentioned(nodes))
    return "\n".join([*imports, "\n"] * bool(imports)) + _text(nodes, source)


@lru_cache(maxsize=2048)
def algorithm_of(source: str) -> str:
    """A source without its allocation. Raises NotPython, and Incompatible if the rest uses `allocate`."""
    source = _plain(source)
    body = parse(source).body
    spreading = _using(body, _SPREADS)
    places = {node.lineno for node in spreading}
    shared = _using(spreading, _READ | _mentioned([node for node in body if node.lineno not in places]))
    if any("allocate" in _bound(node) for node in shared):
        raise Incompatible("the algorithm uses `allocate`, so that it cannot have another one")
    kept = {node.lineno for node in shared} | {node.lineno for node in body if node.lineno not in places}
    lost = [node for node in body if node.lineno not in kept]
    unused = _mentioned(lost) - _mentioned([node for node in body if node.lineno in kept])
    lost += [node for node in body if isinstance(node, _IMPORTS) and _bound(node) <= unused]
    lines, dropped = source.split("\n"), set[int]()
    for node in lost:
        first = _first_line(node)
        while first > 1 and lines[first - 2].startswith("#"):
            first -= 1
        last = node.end_lineno or first
        while last < len(lines) and not lines[last].strip() and (first == 1 or not lines[first - 2].strip()):
            last += 1
        dropped |= set(range(first, last + 1))
    left = "\n".join(line for number, line in enumerate(lines, 1) if number not in dropped)
    return re.sub(r"\n{4,}", "\n\n\n", left.strip()) + "\n"


def composed(algorithm: str, allocation: str) -> str:
    """The algorithm of one source with the allocation of another, or without one where the other has none.

    Raises NotPython, and Incompatible where each would change what the other computes.
    """
    rest, own = algorithm_of(algorithm), allocation_of(allocation)
    if own is None:
        return rest
    if defines(rest, "UNIT") and not defines(own, "UNIT"):
        raise Incompatible("UNIT is set together with something else")
    body = parse(rest).body
    if not body:
        raise Incompatible("the algorithm is empty")
    bound, taken = {name for node in body for name in _bound(node)}, _mentioned(body)
    if captured := sorted(_outside(parse(own)) & bound):
        raise Incompatible(f"{', '.join(captured)} of the algorithm would stand for what the allocation uses")
    rest, own = _with_parameters(rest, own)
    tree = parse(own)
    nodes = [node for node in tree.body if not isinstance(node, _IMPORTS)]
    clashing = {name for node in nodes for name in _bound(node)} & (bound | taken) - _SPREADS
    if clashing:
        nodes, own = [*_renamed(nodes, clashing, bound | taken | _mentioned(nodes))], ""
    return f"{_importing(rest, _imports(tree.body, None))}\n\n{_text(nodes, own)}"


def keeps_allocation(source: str) -> bool:
    """Whether a draft says that it keeps the allocation of its parent. Raises NotPython."""
    return any(map(_is_mark, parse(source).body)) and not defines(source, "allocate")


def without_mark(source: str) -> str:
    """A draft without its `ALLOCATION = "parent"`. Raises NotPython."""
    source = _plain(source)
    lines = source.split("\n")
    for node in reversed(parse(source).body):
        if _is_mark(node):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def _is_mark(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign)
        and _bound(node) == {MARK}
        and isinstance(node.value, ast.Constant)
        and node.value.value == "parent"
    )


def _with_parameters(rest: str, own: str) -> tuple[str, str]:
    """The algorithm with the free parameters of the allocation among its own, and the allocation without them."""
    if not ranges(own) or PARAMS not in _mentioned(parse(rest).body):
        return rest, own
    ranges(rest)  # refuses what is no literal
    theirs, ours = values_of(own), values_of(rest)
    if both := sorted(theirs.keys() & ours.keys()):
        raise Incompatible(f"{PARAMS} of the allocation and of the algorithm both name {', '.join(both)}")
    left = [node for node in parse(own).body if _bound(node) != {PARAMS}]
    imports = [node for node in left if isinstance(node, _IMPORTS)]
    rest_of_own = _text([node for node in left if node not in imports], own)
    return with_values(rest, theirs), "\n".join([*map(ast.unparse, imports), rest_of_own])


def _using(body: Sequence[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """The statements that bind these names, or names that such statements mention, in order; no imports.

    A statement that binds nothing (a call, say) counts as binding what it mentions.
    """
    about: dict[str, list[int]] = {}
    touched = [_bound(node) or _mentioned([node]) for node in body]
    for place, node in enumerate(body):
        for name in () if isinstance(node, _IMPORTS) else touched[place]:
            about.setdefault(name, []).append(place)
    chosen, seen, open_names = set[int](), set(names), list(names)
    while open_names:
        for place in set(about.get(open_names.pop(), ())) - chosen:
            chosen.add(place)
            more = (touched[place] | _mentioned([body[place]])) - seen
            seen |= more
            open_names += more
    return [body[place] for place in sorted(chosen)]


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement at the top level binds or changes, without those within functions."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, _IMPORTS):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.Subscript | ast.Attribute):
        return _roots(node) if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, _SCOPES):
        return set()
    return {name for child in ast.iter_child_nodes(node) for name in _bound(child)}


def _roots(node: ast.AST) -> set[str]:
    """X of X.a[0] = ..."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _mentioned(nodes: Sequence[ast.stmt]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _outside(tree: ast.Module) -> set[str]:
    """The names that an allocation reads and binds nowhere: builtins."""
    bound = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    bound |= {part.arg for part in ast.walk(tree) if isinstance(part, ast.arg)}
    bound |= {name for part in ast.walk(tree) if isinstance(part, ast.stmt) for name in _bound(part)}
    return _mentioned(tree.body) - bound


def _imports(body: Sequence[ast.stmt], names: set[str] | None) -> list[str]:
    """One statement for each imported name, or for those of `names`."""
    lines = []
    for node in body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            if names is None or (alias.asname or alias.name).partition(".")[0] in names:
                if isinstance(node, ast.Import):
                    lines.append(ast.unparse(ast.Import([alias])))
                else:
                    lines.append(ast.unparse(ast.ImportFrom(node.module, [alias], node.level)))
    return lines


def _importing(rest: str, imports: Sequence[str]) -> str:
    """The algorithm with the imports that it lacks below its own."""
    body = parse(rest).body
    present = set(_imports(body, None))
    missing = [line for line in imports if line not in present]
    if not missing:
        return rest
    bound = {name for node in body for name in _bound(node)} | set(dir(builtins))
    for line in missing:
        if taken := sorted(_bound(parse(line).body[0]) & bound):
            raise Incompatible(f"the allocation imports {', '.join(taken)}, which is something else in the algorithm")
    first = body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    above = [node.end_lineno or 0 for node in body if isinstance(node, _IMPORTS)] + [
        first.end_lineno or 0
    ] * is_docstring
    lines = rest.split("\n")
    place = max(above, default=0)
    gap = [""] * (not any(isinstance(node, _IMPORTS) for node in body))
    return "\n".join([*lines[:place], *(gap if place else []), *missing, *gap, *lines[place:]])


def _renamed(nodes: Sequence[ast.stmt], names: set[str], taken: set[str]) -> Iterator[ast.stmt]:
    """The statements with a suffix behind these names. Raises Incompatible where a scope hides one of them."""
    hidden = {part.arg for node in nodes for part in ast.walk(node) if isinstance(part, ast.arg)}
    hidden |= {
        name
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Global | ast.Nonlocal)
        for name in part.names
    }
    if both := sorted(hidden & names):
        raise Incompatible(f"{', '.join(both)} is at the top level of both, and a parameter in the allocation")
    new = {}
    for name in names:
        new[name] = name + SUFFIX
        while new[name] in taken:
            new[name] += SUFFIX
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                part.id = new.get(part.id, part.id)
            elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                part.name = new.get(part.name, part.name)
        yield node


def _plain(source: str) -> str:
    """The source, or its tree as text where statements share a line."""
    tree = parse(source)
    lines = [_first_line(node) for node in tree.body]
    ends = [node.end_lineno for node in tree.body]
    return ast.unparse(tree) + "\n" if any(map(int.__eq__, lines[1:], map(int, filter(None, ends)))) else source


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _text(nodes: Sequence[ast.stmt], source: str) -> str:
    """Statements as they stand in a source, or from their trees without one; empty lines around definitions."""
    lines, text, after = source.split("\n"), "", ""
    for node in nodes:
        gap = "\n\n" if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
        written = "\n".join(lines[_first_line(node) - 1 : node.end_lineno]) if source else ast.unparse(node)
        text += f"{max(gap, after) * bool(text)}{written}\n"
        after = gap
    return text
