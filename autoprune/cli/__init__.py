"""The commands. Each is thin: it parses its arguments, calls another package, and prints the result."""

import logging
import sys
import traceback
from types import TracebackType
from typing import Annotated

import typer
from typer.main import get_command

from autoprune import __version__
from autoprune.cli.common import console, guarded_output, report_error
from autoprune.cli.group import Group
from autoprune.errors import AutoPruneError
from autoprune.secrets import masked

NAME = "autoprune"
"""The program's name in usage and completion, however it is started."""
app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"autoprune {__version__}\n")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """LLM agents that discover pruning algorithms for a language model and validate them by measurement."""


def main() -> None:
    """The entry point: exit 0, 1 failed, 2 usage, 3 paused, 130 interrupted; one line for an error, no traceback."""
    sys.excepthook = _without_secrets
    logging.getLogger(NAME).propagate = False  # a library that configures logging would print each line once more
    try:
        with guarded_output():
            get_command(app)(prog_name=NAME)
    except AutoPruneError as error:
        sys.exit(report_error(error))
    except KeyboardInterrupt:
        console().print("interrupted")
        sys.exit(130)


def _without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The traceback of an internal error with secrets masked, since users put it into bug reports."""
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))
