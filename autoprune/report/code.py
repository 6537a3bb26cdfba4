"""Untrusted code, highlighted on a terminal, readable on light and dark backgrounds.

Characters that are invisible, break lines or change the direction of text are shown by their number, as <U+202E>. Lines
are those of Python, so that line separators in comments do not start a new line.
"""

import difflib

from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String
from rich.console import RenderableType
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.text import Text

from autoprune.report.outline import lines_of
from autoprune.report.text import Replacements

LONGEST_CODE = 100_000
LONGEST_LINE = 1000
MOST_COMPARED = 6000
"""Total lines of two sources above which they are not compared, which would take minutes."""
COLOURS = {
    Comment: "#767676",
    Keyword: "#a533ff",
    Keyword.Constant: "#b15f23",
    Name.Builtin: "#1a8282",
    Name.Class: "#2e6ee8",
    Name.Decorator: "#1a8282",
    Name.Function: "#2e6ee8",
    Number: "#b15f23",
    Operator.Word: "#a533ff",
    String: "#1b872c",
    Literal: "#b15f23",
    Generic.Deleted: "#de2c37",
    Generic.Inserted: "#1b872c",
    Generic.Subheading: "#2e6ee8",
}
"""Colours with a contrast of at least 4.5 (WCAG AA) to both white and black. Other tokens have the terminal's
colour."""
_THEME = ANSISyntaxTheme({token: Style(color=colour) for token, colour in COLOURS.items()})


def code(source: str, language: str = "python", line_numbers: bool = False) -> Syntax:
    shown = revealed(source.rstrip("\n"), LONGEST_CODE)
    return Syntax(shown, language, theme=_THEME, line_numbers=line_numbers, word_wrap=True)


def difference(before: str, after: str, name: str, other: str) -> RenderableType:
    lines = diff(before, after, name, other)
    return code("\n".join(lines), "diff") if lines else Text("no difference", style="dim")


def diff(before: str, after: str, name: str, other: str) -> list[str]:
    """The lines of a unified diff, or a message if the sources are too long to be compared."""
    old, new = lines_of(before), lines_of(after)
    if len(old) + len(new) > MOST_COMPARED:
        return [f"--- {name}", f"+++ {other}", f"{len(old):,} and {len(new):,} lines are too many to be compared"]
    return list(difflib.unified_diff(old, new, name, other, lineterm=""))


def shortened(line: str) -> str:
    """A line of code, cut to LONGEST_LINE characters with a note."""
    more = len(line) - LONGEST_LINE
    return line if more <= 0 else f"{line[:LONGEST_LINE]} ... {more:,} more characters"


def revealed(text: str, longest: int) -> str:
    """The text with the numbers of invisible characters, cut to `longest`."""
    kept = text.replace("\r\n", "\n")
    if len(kept) > longest:
        kept = kept[:longest] + "…"
    return kept.translate(_REVEALED)


_REVEALED = Replacements(lambda character: f"<U+{ord(character):04X}>")
