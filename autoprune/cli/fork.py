"""`autoprune fork`."""

from pathlib import Path
from typing import Annotated

import typer

from autoprune.api.forking import fork_settings, make_fork
from autoprune.cli import complete
from autoprune.cli.common import say
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.search import work_on
from autoprune.log import log_to


def fork(
    run: Annotated[
        Path, typer.Argument(help="The run to start from: a directory or a name.", autocompletion=complete.runs)
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE ...]", help="Changed settings.", autocompletion=complete.assignments),
    ] = None,
    *,
    at: Annotated[
        int | None,
        typer.Option(min=0, help="Start from the state after this generation; 0: before the first; default: the last."),
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(help="New run directory; default: runs/<time>-<model>.")] = None,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final rows as JSON.")] = False,
) -> None:
    """Continue a run from a generation as a new run with changed settings; the old one is unchanged.

    A run whose budget is spent proceeds directly to confirmation, for example at other `confirmation.sparsities`.
    What measurements depend on (model, sparsity, device, dtype, data, allocation) cannot change.
    """
    origin = open_run(run, trust)
    with log_to(say):
        config = fork_settings(origin, words or [])
    announce(origin, config, database_alone=False)
    forked = make_fork(origin, at, config, run_dir)
    started = forked.settings()[1]["origin"]
    say(f"{forked.path} starts from {origin.path} after generation {started['generation']}")
    work_on(forked, config, as_json, fresh=True)
