"""The commands. Each is thin: it reads words, calls a room, and prints what comes back."""

import sys
import traceback
from types import TracebackType

import typer
from typer.main import get_command

from autoprune.cli.approve import approve
from autoprune.cli.cache import cache
from autoprune.cli.common import console, guarded_output, report_error
from autoprune.cli.compare import compare
from autoprune.cli.doctor import doctor
from autoprune.cli.evaluate import evaluate
from autoprune.cli.export_algorithm import export_algorithm
from autoprune.cli.fork import fork
from autoprune.cli.prune import prune
from autoprune.cli.report import report
from autoprune.cli.runs import runs
from autoprune.cli.sandbox import sandbox
from autoprune.cli.search import resume, search
from autoprune.cli.trace import trace
from autoprune.cli.unpack import unpack
from autoprune.errors import AutoPruneError
from autoprune.secrets import masked

NAME = "autoprune"
"""However it is started: usage and completion go by it."""
app = typer.Typer(
    help="LLM agents that discover pruning algorithms for a language model and prove them by measurement.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("search")(search)
app.command("resume")(resume)
app.command("approve")(approve)
app.command("fork")(fork)
app.command("runs")(runs)
app.command("trace")(trace)
app.command("report")(report)
app.command("export-algorithm")(export_algorithm)
app.command("prune")(prune)
app.command("compare")(compare)
app.command("evaluate")(evaluate)
app.command("unpack")(unpack)
app.command("doctor")(doctor)
app.command("cache")(cache)
app.add_typer(sandbox, name="sandbox")


def main() -> None:
    """The entry point: exit 0, 1 failed, 2 usage, 3 paused, 130 interrupted; one line for an error, no traceback."""
    sys.excepthook = _without_secrets
    try:
        with guarded_output():
            get_command(app)(prog_name=NAME)
    except AutoPruneError as error:
        sys.exit(report_error(error))
    except KeyboardInterrupt:
        console().print("interrupted")
        sys.exit(130)


def _without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A fault of our own, whose traceback people put into bug reports."""
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))
