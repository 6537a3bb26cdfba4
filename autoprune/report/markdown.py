"""Text and tables as Markdown, with untrusted text escaped."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from autoprune.report.text import one_line

CELL = 400
"""Maximum characters of a cell."""
_MARKUP = re.compile(r"[\\`*~$\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that can begin or end markup within a line; underscores within words cannot."""
_RULES = {"left": "---", "right": "---:"}


def escaped(text: object, longest: int) -> str:
    """The text escaped on one line, for use after the beginning of a line, where other characters are special."""
    line = one_line(text, longest).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\g<0>", line)


def fenced(lines: Iterable[str], language: str) -> str:
    """Lines of code as a fenced block, whose fence is longer than any in the code."""
    code = "\n".join(lines)
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def in_sections(parts: Sequence[RenderableType], level: int) -> Iterator[str]:
    """Tables and texts as blocks of Markdown; titles of tables become headings of this level."""
    for part in parts:
        if isinstance(part, Table):
            if part.title is not None:
                yield f"{'#' * level} {escaped(part.title, CELL)}"
            yield table(part)
        else:
            yield escaped(part, 10 * CELL)


def table(drawn: Table) -> str:
    """A rich table as a Markdown table with the same columns, cells and alignment."""
    columns = [[_cell(column.header), *map(_cell, column.cells)] for column in drawn.columns]
    header, *rows = zip(*columns, strict=True)
    rule = [_RULES.get(column.justify, "---") for column in drawn.columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _cell(content: RenderableType) -> str:
    return escaped(content, CELL).replace("|", "\\|")
