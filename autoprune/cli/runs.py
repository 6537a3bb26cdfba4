"""`autoprune runs`."""

from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json
from autoprune.report.picture import Picture
from autoprune.report.tables import run_row, runs_table
from autoprune.report.text import plain
from autoprune.runs.directory import list_runs, runs_root
from autoprune.runs.events import read_events


def runs(
    root: Annotated[Path | None, typer.Argument(help="Where to look; default $AUTOPRUNE_RUNS or ./runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the runs with their best candidate and state."""
    root = root or runs_root()
    found = [(str(run.path), Picture.of(read_events(run.events_file))) for run in list_runs(root)]
    if as_json:
        print_json([run_row(name, picture) for name, picture in found])
    elif found:
        console().print(runs_table(found))
    else:
        console().print(plain(f"no runs in {root}"))
