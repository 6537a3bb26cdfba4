"""Shows long output on a terminal through a pager."""

import click
from rich.console import Console, RenderableType

from autoprune.report.text import plain


def show_paged(screen: Console, content: RenderableType) -> None:
    """Print the content; on a terminal, through `$PAGER` or `less` if it has more lines than the screen.

    Without the pager if it does not start.
    """
    if not screen.is_terminal:
        screen.print(content)
        return
    with screen.capture() as captured:
        screen.print(content)
    text = captured.get()
    if text.count("\n") < screen.height:
        screen.print(content)
        return
    try:
        click.echo_via_pager(text)
    except (OSError, ValueError) as problem:
        screen.print(content)
        screen.print(plain(f"PAGER does not start: {problem}"))
