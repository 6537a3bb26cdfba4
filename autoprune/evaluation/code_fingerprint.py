"""A hash of the measuring code; cached measurements are used only under the same hash.

Comments, docstrings, blank lines and the discoveries, which are data, are excluded. The sources are split by a regular
expression, since `ast` and `tokenize` take two to three times as long at the start of every command that measures.
"""

import hashlib
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOMS = ("candidates", "evaluation", "executors", "models", "pruning", "sandbox")
"""Folders of the package whose code decides the result of a measurement."""
KIT = "kit.py"
"""The module beside them that candidates import."""
DISCOVERIES = ("candidates/discovered/", "candidates/found/")

_STRING = r"""(?:'{3}(?:[^\\]|\\.)*?'{3}|"{3}(?:[^\\]|\\.)*?"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_LINE_END = r"(?:[ \t]*(?:#[^\n]*)?\n)+"
"""The end of a line with its comment, and the following blank or comment lines."""
_TOKEN = re.compile(
    rf"(?P<line_end>{_LINE_END})"
    rf"|(?P<statement>^(?<!\\\n)[ \t]*[rRuU]?{_STRING}{_LINE_END})"
    rf"|(?P<string>{_STRING})|(?P<open>[(\[{{])|(?P<close>[)\]}}])",
    re.DOTALL | re.MULTILINE,
)


def code_fingerprint(package: Path = PACKAGE) -> str:
    """The SHA-256 of the sources in ROOMS and KIT of a package directory, each under its path, without DISCOVERIES."""
    digest = hashlib.sha256()
    paths = [path for room in ROOMS for path in (package / room).rglob("*.py")]
    for path in sorted([*paths, *package.glob(KIT)]):
        name = path.relative_to(package).as_posix()
        if not name.startswith(DISCOVERIES):
            digest.update(f"{name}\0{without_comments(path.read_text(encoding='utf-8'))}\0".encode())
    return digest.hexdigest()


def without_comments(source: str) -> str:
    """A source without comments, blank lines and docstrings. It may not be valid Python, since bodies can be empty."""
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
