"""Distilling: functions of a candidate become functions of the kit, as text. Nothing is run."""

import ast
import textwrap

from autoprune.candidates.functions import (
    ENTRY_POINTS,
    RESERVED,
    NotPure,
    bindings,
    distilled,
    functions_called,
    pure_function,
    renamed,
    with_docstring,
)
from autoprune.candidates.library import MOST_LINES, check_function
from autoprune.candidates.parameters import NAME as PARAMS
from autoprune.candidates.parameters import UnusableParameters, ranges
from autoprune.syntax import NotPython, parse
from autoprune.text_files import clean

WIDTH = 110
"""Columns of a docstring."""


def default_functions(source: str) -> list[str]:
    """The functions that the entry points of a candidate call, without these, in the order of their definition."""
    called = {name for entry in ENTRY_POINTS for name in functions_called(source, entry)} - {*ENTRY_POINTS}
    return [name for name in functions_of(source) if name in called]


def functions_of(source: str) -> list[str]:
    """The functions at the top level of a candidate. Raises NotPure for a source that is not Python."""
    try:
        return [name for name, node in bindings(parse(source)).items() if isinstance(node, ast.FunctionDef)]
    except NotPython as problem:
        raise NotPure(str(problem)) from None


def distil(source: str, function: str, name: str, idea: str) -> str:
    """A function of a candidate, with what it uses, as the source of the found function `name`.

    `idea`: the docstring of a function without one. Raises NotPure for a function that depends on anything but its
    arguments, or does not fit (`library.check_function`).
    """
    piece = distilled(source, function)
    pure_function(piece, function, reserved=frozenset())
    bound = bindings(parse(piece))
    if PARAMS in bound and _is_open(piece):
        raise NotPure(f"{function} reads {PARAMS}, whose numbers are not chosen yet")
    names = {each: f"{name}_{each.lower()}" for each in bound if each in RESERVED} | {function: name}
    if clashes := set(names.values()) & (bound.keys() - names.keys()):
        raise NotPure(f"{function} uses {min(clashes)}, which would be a second function of this name")
    piece = renamed(piece, names)
    main = bindings(parse(piece))[name]
    assert isinstance(main, ast.FunctionDef)
    docstring = ast.get_docstring(main) or textwrap.fill(clean(idea), WIDTH) or "A function of a candidate."
    if len(lines := docstring.splitlines()) > MOST_LINES:
        docstring = "\n".join([*lines[: MOST_LINES - 1], "…"])
    if docstring != ast.get_docstring(main):
        piece = with_docstring(piece, name, docstring.replace("\n", "\n    "))
    check_function(piece, name)
    return piece


def _is_open(source: str) -> bool:
    try:
        return bool(ranges(source))
    except UnusableParameters:
        return True
