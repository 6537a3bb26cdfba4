"""Finding and raising numbers of rounds in a candidate's source: more rounds of swaps improve a mask further.

It finds integers bound to a name such as `rounds` or `SWEEPS` (by an assignment, as a default, or as a keyword
argument), and the rounds of `swaps` from the kit, also if omitted. No code runs.
"""

import ast
import re
from collections.abc import Iterator

from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.syntax import NotPython, parse

MOST = 64
"""Largest number that is raised."""
_NAME = re.compile(r"(?:.*_)?(?:rounds?|sweeps?|iterations?|iters?|passes|cycles)(?:_.*)?", re.IGNORECASE)
_SWAPS = "swaps"
_FOURTH = 3
"""The place of the rounds among the arguments of `kit.swaps`."""
Edit = tuple[int, int, int, str]
"""Line, first and last column in bytes, and the text that stands there instead."""


def raised(source: str, factor: int) -> str | None:
    """The source with every number of rounds times a factor; None if it has none, or is not Python."""
    try:
        edits = {*_edits(parse(source), factor)}
    except NotPython:
        return None
    lines = source.encode().split(b"\n")  # the columns of `ast` count bytes
    for line, first, last, text in sorted(edits, reverse=True):
        before = lines[line - 1]
        lines[line - 1] = before[:first] + text.encode() + before[last:]
    text = b"\n".join(lines).decode()
    try:
        parse(text)
    except NotPython:
        return None
    return text if edits else None


def _edits(tree: ast.Module, factor: int) -> Iterator[Edit]:
    for node in ast.walk(tree):
        for name, value in _given(node):
            match value:
                case ast.Constant(value=int(number)) if _NAME.fullmatch(name) and 1 <= number <= MOST:
                    if not isinstance(number, bool):
                        yield value.lineno, value.col_offset, value.end_col_offset or 0, str(number * factor)
        if isinstance(node, ast.Call) and _is_swaps(node.func) and node.args and not _has_rounds(node):
            line, column = node.end_lineno or 0, (node.end_col_offset or 0) - 1  # of the closing parenthesis
            yield line, column, column, f", rounds={SWAP_ROUNDS * factor}"


def _is_swaps(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == _SWAPS


def _has_rounds(call: ast.Call) -> bool:
    spread = any(isinstance(argument, ast.Starred) for argument in call.args)
    return spread or len(call.args) > _FOURTH or any(keyword.arg in ("rounds", None) for keyword in call.keywords)


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Names, and what is given to them."""
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            yield name, value
        case ast.Call(func=function, args=arguments, keywords=keywords):
            yield from ((keyword.arg or "", keyword.value) for keyword in keywords)
            if _is_swaps(function) and len(arguments) > _FOURTH:
                yield "rounds", arguments[_FOURTH]
        case ast.arguments(posonlyargs=first, args=more, defaults=defaults, kwonlyargs=named, kw_defaults=of_named):
            positional = [*first, *more]
            yield from ((one.arg, value) for one, value in zip(positional[::-1], defaults[::-1], strict=False))
            yield from ((one.arg, value) for one, value in zip(named, of_named, strict=True))
