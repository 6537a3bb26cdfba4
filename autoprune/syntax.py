"""Reading Python that nobody trusts, in one place: what `parse` returns is within bounds that every walker can rely on.

Refused are sources that do not show what they do (characters that hide or move code), and trees that are legal and
absurd: in them `ast.unparse` and every recursive visitor run out of stack, and numbers of 20,000 digits cannot be
printed.

One thread parses at a time, and tries again. CPython 3.11 counts the depth of a tree that it builds in one place for
all threads, so that two threads which parse at once can fail with "SystemError: AST constructor recursion depth
mismatch" (seen here; python/cpython issue 106905 is about it). Candidates go their ways side by side, and LangGraph
parses functions too, where no lock of ours is held.
"""

import ast
import codecs
import contextlib
import re
import threading
import unicodedata
import warnings

MAX_DEPTH = 100
"""Levels of the tree. Written by hand, code has about 20; a walker takes up to five stack frames a level, of 1000."""
MAX_BITS = 1024
"""Of an integer literal: beyond that it is no float either."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Letters and marks that are drawn as nothing."""
_CODING = re.compile(r"[ \t]*#.*?coding[:=][ \t]*([-\w.]+)")
"""A declared encoding (PEP 263); it counts in the first two lines."""
_TRIES = 20
_turn = threading.Lock()


class NotPython(ValueError):
    """A source that is no Python, or not within the bounds; one line that says why. `line` is counted from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def parse(source: str) -> ast.Module:
    """The tree of a source. Raises NotPython, and nothing else, for what is none."""
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


def _tree(source: str) -> ast.Module:
    """As ast.parse has it. A SystemError that comes every time is the source's; another one came from beside it."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a doubtful escape is no news for the terminal of a search
        for _ in range(_TRIES):
            with contextlib.suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


def hides(character: str) -> bool:
    """Whether a character shows as nothing, as a line break that is none, or moves what stands around it.

    Newline and tab aside, these are all control and format characters (text direction, zero width), separators of lines
    and paragraphs, surrogates and fillers.
    """
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in _FILLERS


def named(character: str) -> str:
    """A character that cannot be shown, in words: U+2028 (LINE SEPARATOR)."""
    name = unicodedata.name(character, "") or _CONTROLS.get(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


_CONTROLS = {"\0": "NUL", "\r": "CARRIAGE RETURN", "\f": "FORM FEED", "\x1b": "ESCAPE", "\x85": "NEXT LINE"}


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
