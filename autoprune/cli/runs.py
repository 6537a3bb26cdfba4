"""`autoprune runs`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json, say
from autoprune.errors import AutoPruneError
from autoprune.report.picture import Picture
from autoprune.report.tables import run_row, runs_table
from autoprune.report.text import plain
from autoprune.runs.directory import RunDirectory, list_runs, runs_root
from autoprune.runs.events import read_events

UNLIMITED = 100_000
"""Columns in which any table fits."""


def runs(
    root: Annotated[Path | None, typer.Argument(help="Where to look; default $AUTOPRUNE_RUNS or ./runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the runs with their best candidate and state."""
    root = root or runs_root()
    entries = list(_readable(list_runs(root)))
    if as_json:
        rows = [run_row(*entry) for entry in entries]
        print_json([{key: value for key, value in row.items() if key != "short_state"} for row in rows])
    elif entries:
        screen = console()
        by_name = root.resolve() == runs_root().resolve()  # where every command finds a run by its name
        if by_name:
            entries = [(Path(path).name, picture, filled, at_work) for path, picture, filled, at_work in entries]
        table = runs_table(entries, screen.width, whole=not by_name)
        widest = screen.measure(table, options=screen.options.update(width=UNLIMITED)).maximum
        screen.width = max(screen.width, widest)  # the terminal breaks long paths, which can then be copied
        screen.print(table)
    else:
        console().print(plain(f"no runs in {root}"))


def _readable(runs: Iterable[RunDirectory]) -> Iterator[tuple[str, Picture, int, bool]]:
    """The path of each run, its picture, its number of filled cells, and whether a process works on it, by its events
    and sources: the archive may be in use, of an older version, or damaged. A run that cannot be read is reported and
    left out."""
    from autoprune.agents.niche import niche_of
    from autoprune.runs.facts import reading_facts
    from autoprune.runs.quality import best_of_cells, outcomes_told, place

    for run in runs:
        try:
            run.settings()
            with reading_facts(run):
                events = list(read_events(run.events_file))
                cells = best_of_cells(place(run, outcomes_told(events), niche_of))
                entry = str(run.path), Picture.of(events), len(cells), run.in_use
                json.dumps(run_row(*entry), allow_nan=False)
                runs_table([entry])  # rendered alone first, since its events may be invalid
        except AutoPruneError as error:
            say(f"left out: {error}")
        except OSError as error:
            say(f"left out: {run.path}: {error.strerror}")
        else:
            yield entry
