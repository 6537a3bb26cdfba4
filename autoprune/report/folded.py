"""Folded code on a terminal in reading order, with the line numbers of the file."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoprune.report.code import code, shortened
from autoprune.report.outline import Part, lines_of, outline
from autoprune.report.text import plain

MOST_LINES = 160
"""Maximum number of shown lines."""


def folded(source: str, whole: str) -> RenderableType:
    """The source in the order of its outline. `whole`: the option that shows everything, named if code is folded."""
    lines, parts = lines_of(source), outline(source)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    shown = list(_within(parts))
    end = 0
    for part in shown:
        if end and part.first != end + 1:
            table.add_row()
        for number, line in _rows(lines, part):
            table.add_row(str(number), line)
        if part.folded:
            table.add_row("", plain(f"    ... {_counted(part.folded, 'line')}", "dim"))
        end = part.first + part.head - 1
    hidden = sum(part.folded for part in shown)
    if unseen := parts[len(shown) :]:
        more = sum(part.count for part in unseen)
        hidden += more
        table.add_row()
        table.add_row("", plain(f"... {_counted(len(unseen), 'part')} more, {_counted(more, 'line')}", "dim"))
    cut = any(shortened(line) != line for line in lines)
    if not hidden and not cut:
        return table
    what = f"{hidden:,} of {len(lines):,} lines are folded" if hidden else ""
    summary = "; ".join(filter(None, (what, "long lines are cut" if cut else "")))
    return Group(table, plain(f"{summary}: {whole} shows everything", "yellow"))


def _within(parts: list[Part]) -> Iterator[Part]:
    """The parts within MOST_LINES; the last one is folded to fit."""
    left = MOST_LINES
    for part in parts:
        if left <= 0:
            return
        yield part if part.head <= left else Part(part.first, part.count, left)
        left -= part.head + bool(part.folded)


def _rows(lines: list[str], part: Part) -> Iterator[tuple[int, Text]]:
    shown = [shortened(line) for line in lines[part.first - 1 : part.first - 1 + part.head]]
    drawn = code("\n".join(shown))
    highlighted = drawn.highlight(drawn.code).split("\n", allow_blank=True)
    yield from zip(range(part.first, part.first + part.head), highlighted, strict=False)


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"
