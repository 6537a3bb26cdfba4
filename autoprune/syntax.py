"""Parsing untrusted Python within bounds that all visitors of the tree can rely on.

Rejected are sources with characters that hide or move code, and valid trees of excessive size, which overflow the stack
of `ast.unparse` and recursive visitors, or contain numbers that cannot be printed.

Parsing is serialised and retried: in CPython 3.11, threads that parse at the same time can fail with "SystemError: AST
constructor recursion depth mismatch" (python/cpython issue 106905). LangGraph parses functions as well, without our
lock.
"""

import ast
import codecs
import contextlib
import functools
import re
import threading
import unicodedata
import warnings
from collections.abc import Iterator

MAX_DEPTH = 100
"""Levels of the tree. Typical code has about 20; visitors need up to five of 1000 stack frames per level."""
MAX_BITS = 1024
"""Bits of an integer literal, more than any float has."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks that are invisible."""
_CODING = re.compile(r"[ \t]*#.*?coding[:=][ \t]*([-\w.]+)")
"""A declared encoding (PEP 263); it counts in the first two lines."""
_TRIES = 20
_turn = threading.Lock()


class NotPython(ValueError):
    """A source that is not Python or exceeds the bounds, with the reason in one line. `line` is counted from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def parse(source: str) -> ast.Module:
    """The tree of a source. Raises only NotPython."""
    _check_text(source)
    try:
        tree = _tree(source)
    except SyntaxError as error:
        raise NotPython(f"SyntaxError: {error.msg}", error.lineno or 1) from None
    except (MemoryError, RecursionError, SystemError):
        raise NotPython("the source is nested too deeply to be parsed") from None
    except (ValueError, OverflowError) as error:
        raise NotPython(f"the source cannot be parsed: {type(error).__name__}") from None
    _check_tree(tree)
    return tree


@functools.lru_cache(maxsize=8)
def shared_tree(source: str) -> ast.Module:
    """The same, parsed once for the many readers of one source, none of which changes it."""
    return parse(source)


def _tree(source: str) -> ast.Module:
    """ast.parse with retries on SystemError, which other threads can cause."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for example on invalid escapes
        for _ in range(_TRIES):
            with contextlib.suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


def hides(character: str) -> bool:
    """Whether a character is invisible, looks like a line break or moves other text.

    These are all control and format characters except newline and tab (text direction, zero width), separators of lines
    and paragraphs, surrogates and fillers.
    """
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _FILLERS


def named(character: str) -> str:
    """The name of an invisible character: U+2028 (LINE SEPARATOR)."""
    name = unicodedata.name(character, "") or _CONTROLS.get(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


_CONTROLS = {"\0": "NUL", "\r": "CARRIAGE RETURN", "\f": "FORM FEED", "\x1b": "ESCAPE", "\x85": "NEXT LINE"}


def imports(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    """The imports anywhere in a tree: line, module, and the names that are imported from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def imported_modules(source: str) -> set[str]:
    """The top-level names of the modules that a source imports; empty for a source that cannot be parsed."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return set()
    return {module.partition(".")[0] for _, module, _ in imports(tree)}


def _check_text(source: str) -> None:
    lines = source.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        hidden = next(filter(hides, line), None) if not line.isprintable() or not line.isascii() else None
        if hidden is not None:
            reason = "which can hide code; in a string, write it as an escape"
            raise NotPython(f"the source holds {named(hidden)}, {reason}", number)
    header = lines[:2] if lines[0].lstrip()[:1] in ("", "#") else lines[:1]
    for number, line in enumerate(header, 1):
        declared = _CODING.match(line)
        if declared and not _is_utf8(declared[1]):
            raise NotPython(f"the source declares the encoding {declared[1][:40]!r}; a source is UTF-8", number)


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def _check_tree(tree: ast.Module) -> None:
    level: list[ast.AST] = [tree]
    line = 1
    for _ in range(MAX_DEPTH):
        for node in level:
            if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value.bit_length() > MAX_BITS:
                raise NotPython(f"an integer of more than {MAX_BITS} bits", node.lineno)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
        line = next((node.lineno for node in level if hasattr(node, "lineno")), line)
    raise NotPython(f"the source is nested more than {MAX_DEPTH} levels deep", line)
