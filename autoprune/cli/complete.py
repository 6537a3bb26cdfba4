"""Shell completion. It imports nothing heavy, since the user waits for it.

`autoprune --install-completion` sets it up for the shell it is called from.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from autoprune.candidates.discovered import discovered
from autoprune.errors import AutoPruneError
from autoprune.pruning.allocation.table import NAMES, OWN
from autoprune.pruning.published import PUBLISHED
from autoprune.runs.directory import RunDirectory, list_runs, runs_root
from autoprune.runs.events import Event, read_events
from autoprune.runs.facts import ODD
from autoprune.runs.lookup import BEST
from autoprune.runs.names import generation_id

ALLOCATIONS = (*NAMES, OWN)
TEXTS = ("builtin", "wikitext2", "c4")
PATTERNS = ("none", "2:4", "4:8")

Completion = Callable[[str], Iterable[str]]


def of(*choices: str) -> Completion:
    """One of the choices."""
    return lambda incomplete: choices


def list_of(*choices: str) -> Completion:
    """A list of choices, separated by commas."""

    def complete(incomplete: str) -> Iterable[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [f"{before}{comma}{word}" for word in choices]

    return complete


def option(help: str, *choices: str) -> Any:
    """A command's option with one of these choices."""
    return typer.Option(help=help, autocompletion=of(*choices))


def list_option(help: str, *choices: str) -> Any:
    """A command's option with several of these choices, separated by commas."""
    return typer.Option(help=help, autocompletion=list_of(*choices))


def algorithms(incomplete: str) -> Iterable[str]:
    """Published scores, discovered algorithms, and the best candidate of each run."""
    return [*PUBLISHED, *discovered(), *best_of_runs(incomplete)]


def algorithm_list(incomplete: str) -> Iterable[str]:
    """A list of algorithms, separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{word}" for word in algorithms(last)]


def found_functions(incomplete: str) -> list[str]:
    """Names of found functions."""
    from autoprune.candidates.library import names

    return names()


def runs(incomplete: str) -> list[str]:
    """Names of the runs; after a slash, paths of those in that folder."""
    folder, slash, _ = incomplete.rpartition("/")
    root = Path(folder or "/").expanduser() if slash else runs_root()
    return [f"{folder}{slash}{run.name}" for run in list_runs(root)]


def best_of_runs(incomplete: str) -> list[str]:
    """RUN:best for each run. Other candidates are not completed, since for bash the colon starts a new word."""
    return [f"{run}:{BEST}" for run in runs(incomplete)]


def parts(context: typer.Context) -> list[str]:
    """Generations and slots of the run in the preceding argument."""
    planned = [event.data for event in _events(context) if event.kind == "planned"]
    with suppress(*ODD):
        slots = [str(plan["slot"]) for generation in planned for plan in generation["slots"]]
        return [BEST, *(generation_id(generation["generation"]) for generation in planned), *slots]
    return [BEST]


def waiting(context: typer.Context) -> list[str]:
    """Slots of that run whose candidates wait for approval."""
    events = _events(context)
    decided = {str(event.data.get("slot")) for event in events if event.kind == "decided"}
    asked = [str(event.data.get("slot")) for event in events if event.kind == "asked"]
    return [slot for slot in asked if slot not in decided]


def setting_keys(incomplete: str) -> list[str]:
    """Dotted keys of settings, and `KEY=` for an assignment."""
    from autoprune.config import setting_keys as keys

    return [*keys(), *assignments(incomplete)]


def assignments(incomplete: str) -> list[str]:
    """`KEY=` of each setting."""
    from autoprune.config import setting_keys as keys

    return [f"{key}=" for key in keys()]


def _events(context: typer.Context) -> list[Event]:
    """The run's events; empty for a run that cannot be read, about which the command itself reports an error."""
    try:
        return list(read_events(RunDirectory.open(Path(context.params["run"])).events_file))
    except AutoPruneError:
        return []
