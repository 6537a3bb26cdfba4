"""A hash of the code that measures: a measurement under another hash is not used again.

Comments, docstrings and blank lines are not part of it, and neither are the discoveries, which are data. A regular
expression splits the sources into strings, brackets, line ends and the rest. `ast` and `tokenize` take two to three
times as long (0.35 to 0.5 s instead of 0.15 s of one core for 125 files), at the start of every command that measures.
"""

import hashlib
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOMS = ("candidates", "evaluation", "executors", "models", "pruning", "sandbox")
"""Folders of the package whose code decides the result of a measurement."""
DISCOVERIES = "candidates/discovered"

_STRING = r"""(?:'{3}(?:[^\\]|\\.)*?'{3}|"{3}(?:[^\\]|\\.)*?"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_LINE_END = r"(?:[ \t]*(?:#[^\n]*)?\n)+"
"""The end of a line, with its comment and the lines after it that are blank or hold a comment only."""
_TOKEN = re.compile(
    rf"(?P<line_end>{_LINE_END})"
    rf"|(?P<statement>^(?<!\\\n)[ \t]*[rRuU]?{_STRING}{_LINE_END})"
    rf"|(?P<string>{_STRING})|(?P<open>[(\[{{])|(?P<close>[)\]}}])",
    re.DOTALL | re.MULTILINE,
)


def code_fingerprint(package: Path = PACKAGE) -> str:
    """The SHA-256 of the sources in ROOMS of a package directory, each under its path, without DISCOVERIES."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (package / room).rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith(f"{DISCOVERIES}/"):
            digest.update(f"{name}\0{without_comments(path.read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()


def without_comments(source: str) -> str:
    """A source without comments, blank lines and statements that are only a string (docstrings). It is for hashing: a
    body that was a docstring is left empty."""
    depth = 0

    def kept(token: re.Match[str]) -> str:
        nonlocal depth
        match token.lastgroup:
            case "line_end":
                return "\n"
            case "statement" if depth == 0:
                return ""
            case "open":
                depth += 1
            case "close":
                depth -= 1
        return token[0]

    return _TOKEN.sub(kept, f"{source}\n").lstrip("\n")
