"""The addresses that a run contacts: always printed, and confirmed once if its settings come from someone else."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import say
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.report.text import visible
from autoprune.runs.contacts import check, confirm, contacts, unconfirmed
from autoprune.runs.directory import RunDirectory

Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="URL", help="Allow the run to contact this address from its settings."),
]


def open_run(path: Path, trust: list[str] | None = None) -> RunDirectory:
    """The run; `trust`: addresses to confirm. Raises UsageError for one that its settings do not have."""
    run = RunDirectory.open(path)
    addresses = contacts(run.settings()[0], unused=True)
    for address in trust or []:
        if address not in addresses:
            raise UsageError(
                f"the settings of {run.path} do not name {address}; they name: {', '.join(addresses) or 'nothing'}"
            )
    confirm(run.path, trust or [])
    return run


def announce(run: RunDirectory, config: Config, database_alone: bool = True) -> None:
    """Print the addresses that will be contacted: the database, or all of them.

    Those of the run's own settings must be confirmed: on a terminal the user is asked, otherwise UsageError is raised.
    """
    stored, addresses = contacts(run.settings()[0], unused=True), contacts(config)
    if database_alone:
        addresses = [config.database.url] if config.database is not None else []
    untrusted = [address for address in addresses if address in stored]
    if sys.stdin.isatty() and sys.stderr.isatty():
        for address in unconfirmed(run.path, untrusted):
            if typer.confirm(f"The settings of {run.path} name {visible(address)}. Contact it?", err=True):
                confirm(run.path, [address])
    check(run.path, untrusted)
    if addresses:
        say(f"{run.path} contacts {', '.join(addresses)}")
