"""What a run contacts: asked about once where its settings come from elsewhere, and always printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import say
from autoprune.config import Config, change_config
from autoprune.errors import UsageError
from autoprune.report.text import visible
from autoprune.runs.contacts import check, confirm, contacts, unconfirmed, without_contacts
from autoprune.runs.directory import RunDirectory

Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="URL", help="Let the run contact this, which its settings name, from now on."),
]


def open_run(path: Path, trust: list[str] | None = None) -> RunDirectory:
    """The run; `trust`: what it may contact from now on. Raises UsageError for what it does not name."""
    run = RunDirectory.open(path)
    named = contacts(run.settings()[0], unused=True)
    for place in trust or []:
        if place not in named:
            raise UsageError(
                f"the settings of {run.path} do not name {place}; they name: {', '.join(named) or 'nothing'}"
            )
    confirm(run.path, trust or [])
    return run


def confirm_named(run: RunDirectory, words: list[str]) -> None:
    """What the user's own `key=value` words name is confirmed for the run, whether or not its settings name it too."""
    bare = without_contacts(run.settings()[0])
    confirm(run.path, contacts(change_config(bare, words)))


def announce(run: RunDirectory, config: Config, database_alone: bool = True) -> None:
    """Print what is about to be contacted: the database, or all that settings name.

    Of what the run's own settings name and was not confirmed, the user is asked on a terminal; elsewhere it raises
    UsageError.
    """
    own, named = contacts(run.settings()[0], unused=True), contacts(config)
    if database_alone:
        named = [config.database.url] if config.database is not None else []
    theirs = [place for place in named if place in own]
    if sys.stdin.isatty() and sys.stderr.isatty():
        for place in unconfirmed(run.path, theirs):
            if typer.confirm(f"The settings of {run.path} name {visible(place)}. Contact it?", err=True):
                confirm(run.path, [place])
    check(run.path, theirs)
    if named:
        say(f"{run.path} contacts {', '.join(named)}")
