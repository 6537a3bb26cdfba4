"""The difference between a candidate's source and that of its parent, in a panel."""

from rich.console import Group, RenderableType
from rich.panel import Panel

from autoprune.report.code import code, diff, shortened
from autoprune.report.outline import is_long, lines_of
from autoprune.report.text import one_line, plain

MOST_DIFFERENT = 120
"""Maximum number of shown lines of a difference."""


def compared(before: str, after: str, parent: str, slot: str, whole: str) -> Panel:
    """The difference from `before`, the source of `parent`, to `after`, that of `slot`.

    If it is longer than a long source, only its length is shown. `whole`: the option that shows everything, named where
    lines are left out; empty if nothing is to be left out.
    """
    lines = [shortened(line) for line in diff(before, after, parent, slot)]
    total = len(lines_of(after))
    most = MOST_DIFFERENT if whole else len(lines)
    shown: RenderableType = code("\n".join(lines[:most]), "diff") if lines else plain("no difference", "dim")
    if whole and is_long(after) and len(lines) >= total:
        shown = plain(f"the difference has {len(lines):,} lines, the code {total:,}: {whole} shows both", "dim")
    elif len(lines) > most:
        shown = Group(shown, plain(f"... {len(lines) - most:,} more lines: {whole} shows everything", "yellow"))
    return Panel(shown, title=plain(f"difference from {one_line(parent, 40)}"), title_align="left")
