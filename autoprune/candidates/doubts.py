"""Doubts about a source by its text alone, also where static analysis (`static_analysis.py`) cannot follow it.

They are loops over single weights, factorisations in a loop, names that nothing binds, fields that the contract lacks,
free parameters that are never read, and functions that contradict each other. The text does not show what a source
computes: not whether its masks are new, the values finite, the shapes right, or a `while` short enough.
"""

import ast
import builtins
from collections.abc import Iterator
from functools import cache

from autoprune.candidates.contract import (
    DEFAULT_GROUP,
    EDITS,
    EXPENSIVE_FIELDS,
    LAYER_FIELDS,
    UNIT_FIELDS,
    Field,
    is_edit,
)
from autoprune.candidates.parameters import NAME as PARAMS
from autoprune.candidates.parameters import UnusableParameters, ranges, values_of
from autoprune.candidates.python_cost import slow_parts
from autoprune.candidates.structure_contract import is_structured
from autoprune.syntax import NotPython, shared_tree

_GIVEN = frozenset(dir(builtins)) | {"__name__"}


@cache
def doubts(source: str) -> tuple[str, ...]:
    """Objections to a source, one line each, in the order of the module's description; none for one that is not
    Python. Of a source that ranks structures only the names are examined."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return ()
    if is_structured(source):
        return tuple(_unbound(tree))
    parts = (slow_parts(tree), _unbound(tree), _fields(tree), _parameters(source, tree), _contradictions(tree))
    return tuple(dict.fromkeys(text for part in parts for text in part))


def _unbound(tree: ast.Module) -> Iterator[str]:
    """Names that are read and bound nowhere in the source."""
    bound, read = set(_GIVEN), dict[str, int]()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.setdefault(name, node.lineno)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in names}
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
    if "*" not in bound:
        yield from (f"line {line}: nothing defines the name {name}" for name, line in read.items() if name not in bound)


def _fields(tree: ast.Module) -> Iterator[str]:
    """Attributes that the contract does not give to a layer or to a unit."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        arguments = [argument.arg for argument in function.args.args]
        if "layer" in arguments:
            yield from _lacking(function, {"layer"}, "layer", (*LAYER_FIELDS, *EXPENSIVE_FIELDS))
        if function.name == "allocate" and arguments:
            yield from _lacking(function, _items_of(function, arguments[0]), "a unit", UNIT_FIELDS)


def _lacking(function: ast.FunctionDef, names: set[str], what: str, fields: tuple[Field, ...]) -> Iterator[str]:
    known = sorted(field.name for field in fields)
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ast.Load()):
                if name in names and attr not in known:
                    yield f"line {node.lineno}: {what} has no attribute {attr!r}; it has {', '.join(known)}"


def _items_of(function: ast.FunctionDef, units: str) -> set[str]:
    """The names that loops over the units give to each of them."""
    names = set()
    for node in ast.walk(function):
        match node:
            case ast.For(target=target, iter=iterated) | ast.comprehension(target=target, iter=iterated):
                match target, iterated:
                    case ast.Name(id=name), ast.Name(id=of) if of == units:
                        names.add(name)
                    case (
                        ast.Tuple(elts=[_, ast.Name(id=name)]),
                        ast.Call(func=ast.Name(id="enumerate"), args=[ast.Name(id=of), *_]),
                    ) if of == units:
                        names.add(name)
    return names


def _parameters(source: str, tree: ast.Module) -> Iterator[str]:
    """Free parameters that are never read, and those that are read without having a range."""
    try:
        free, named = ranges(source), values_of(source)
    except UnusableParameters:
        return  # an error of the screen
    if not named:
        return
    read, uses = dict[str, int](), 0
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == PARAMS:
                read.setdefault(key, node.lineno)
            case ast.Name(id=name, ctx=ast.Load()) if name == PARAMS:
                uses += 1
    subscripts = sum(
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == PARAMS
        and isinstance(node.slice, ast.Constant)
        for node in ast.walk(tree)
    )
    if uses == subscripts:  # otherwise it is read in other ways, too
        unread = [name for name in free if name not in read]
        yield from (f'{PARAMS}["{name}"] is never read, so that its trials are wasted' for name in unread)
    for name, line in read.items():
        if name not in named:
            yield f'line {line}: {PARAMS} has no "{name}"'


def _contradictions(tree: ast.Module) -> Iterator[str]:
    """Parts of a source that cannot all be meant."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    values = _assigned(tree)
    if "UNIT" in values and "allocate" not in functions:
        yield f"line {values['UNIT'].lineno}: UNIT is that of `allocate`, which is missing, so that it changes nothing"
    for name in EDITS:
        edit = functions.get(name)
        if edit is not None and is_edit(edit) and len(edit.args.args) > 1 and not _reads(edit, edit.args.args[1].arg):
            held = "must be 0 where it is False" if name == "update" else "must keep as many weights as it does"
            yield f"line {edit.lineno}: {name} never reads its mask, although the result {held}"
    group = values.get("GROUP", ast.Constant(DEFAULT_GROUP))
    if isinstance(group, ast.Constant) and group.value == "row":
        rest = [node for node in tree.body if node is not functions.get("allocate")]
        for node in (part for statement in rest for part in ast.walk(statement)):
            match node:
                case ast.Attribute(attr="matrix_mask") | ast.Name(id="matrix_mask", ctx=ast.Load()):
                    yield (
                        f"line {node.lineno}: kit.matrix_mask keeps more weights in some rows than in others, but "
                        'GROUP is "row", which keeps as many in each; set GROUP = "matrix"'
                    )


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """The names that are assigned at the top level, with their values."""
    values = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                values[name] = value
    return values


def _reads(function: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(function))
