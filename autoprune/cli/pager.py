"""Showing something long: in the user's pager on a terminal, and as it is anywhere else."""

import click
from rich.console import Console, RenderableType

from autoprune.report.text import plain


def show_paged(screen: Console, drawn: RenderableType) -> None:
    """Print it, on a terminal through `$PAGER` or `less`. A pager that does not start costs one line."""
    if not screen.is_terminal:
        screen.print(drawn)
        return
    with screen.capture() as captured:
        screen.print(drawn)
    try:
        click.echo_via_pager(captured.get())
    except (OSError, ValueError) as problem:
        screen.print(drawn)
        screen.print(plain(f"PAGER does not start: {problem}"))
