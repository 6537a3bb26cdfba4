"""Text and tables as Markdown. What an LLM wrote stays text: it is neither markup nor HTML to whatever renders it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from autoprune.report.text import one_line

CELL = 400
"""Characters of a cell of a table."""
_MARKUP = re.compile(r"[\\`*~$\[\]]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that can begin or end markup within a line; an underscore within a word cannot."""
_RULES = {"left": "---", "right": "---:"}


def escaped(text: object, longest: int) -> str:
    """The text on one line, to stand after something else on a line (a character that matters only at the beginning of
    a line is left as it is)."""
    line = one_line(text, longest).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\g<0>", line)


def fenced(lines: Iterable[str], language: str) -> str:
    """Lines of code as a block, in a fence that none of them closes."""
    code = "\n".join(lines)
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def in_sections(parts: Sequence[RenderableType], level: int) -> Iterator[str]:
    """Blocks of Markdown for tables and texts: each table under its title as a heading of that level."""
    for part in parts:
        if isinstance(part, Table):
            if part.title is not None:
                yield f"{'#' * level} {escaped(part.title, CELL)}"
            yield table(part)
        else:
            yield escaped(part, 10 * CELL)


def table(drawn: Table) -> str:
    """A table for the terminal as one of Markdown, with the same columns, cells and alignment."""
    columns = [[_cell(column.header), *map(_cell, column.cells)] for column in drawn.columns]
    header, *rows = zip(*columns, strict=True)
    rule = [_RULES.get(column.justify, "---") for column in drawn.columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _cell(content: RenderableType) -> str:
    return escaped(content, CELL).replace("|", "\\|")
