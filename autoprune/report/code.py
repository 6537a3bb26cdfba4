"""Code that nobody trusts, highlighted on a terminal: as it is, and readable on light and dark backgrounds.

Nothing in it is dropped: what would be invisible, break a line or turn the direction of text stands there by its
number, as <U+202E>. Lines are Python's, so that what a comment hides is not shown as a line of its own.
"""

import difflib

from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String
from rich.console import RenderableType
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.text import Text

from autoprune.report.outline import lines_of
from autoprune.syntax import hides

LONGEST_CODE = 100_000
LONGEST_LINE = 1000
MOST_COMPARED = 6000
"""Lines of two sources together beyond which they are not compared: that would take minutes."""
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
"""As bright as the grey in the middle: each has a contrast of at least 4.5 (WCAG AA) to white and to black. All else is
in the terminal's own colour, on its own background."""
_THEME = ANSISyntaxTheme({token: Style(color=colour) for token, colour in COLOURS.items()})


def code(source: str, language: str = "python", line_numbers: bool = False) -> Syntax:
    """Highlighted code that cannot do anything to the terminal."""
    shown = revealed(source.rstrip("\n"), LONGEST_CODE)
    return Syntax(shown, language, theme=_THEME, line_numbers=line_numbers, word_wrap=True)


def difference(before: str, after: str, name: str, other: str) -> RenderableType:
    """A unified diff of two sources, line by line as Python counts them."""
    lines = diff(before, after, name, other)
    return code("\n".join(lines), "diff") if lines else Text("no difference", style="dim")


def diff(before: str, after: str, name: str, other: str) -> list[str]:
    """The lines of a unified diff. Of sources that are too long to be compared it says so."""
    old, new = lines_of(before), lines_of(after)
    if len(old) + len(new) > MOST_COMPARED:
        return [f"--- {name}", f"+++ {other}", f"{len(old):,} and {len(new):,} lines are too many to be compared"]
    return list(difflib.unified_diff(old, new, name, other, lineterm=""))


def shortened(line: str) -> str:
    """A line of code, cut to LONGEST_LINE characters and a word that says so."""
    more = len(line) - LONGEST_LINE
    return line if more <= 0 else f"{line[:LONGEST_LINE]} ... {more:,} characters more"


def revealed(text: str, longest: int) -> str:
    """The text with every character that cannot be seen as its number, cut to `longest`."""
    kept = text.replace("\r\n", "\n")
    if len(kept) > longest:
        kept = kept[:longest] + "…"
    return kept.translate(_REVEALED)


class _Revealed(dict[int, str]):
    """What stands for each character; looked up once, since texts are long and their letters few."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        self[point] = f"<U+{point:04X}>" if hides(character) or character in "\ufffe\uffff" else character
        return self[point]


_REVEALED = _Revealed()
