"""What the commands share: consoles, the error line, JSON output."""

import getpass
import json
import os
import sys
from typing import Any

from rich.console import Console

from autoprune.errors import AutoPruneError
from autoprune.report.text import plain
from autoprune.secrets import masked, masked_tree


def console() -> Console:
    """Where results go."""
    return Console(highlight=False)


def errors() -> Console:
    """Where progress and errors go."""
    return Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """A line about what is going on, where progress goes."""
    errors().print(plain(masked(line), "dim"), soft_wrap=True)


def report_error(error: AutoPruneError) -> int:
    """Print the error's one line; returns the exit code."""
    errors().print(plain(masked(f"autoprune: {error}")), soft_wrap=True)
    return error.exit_code


def person() -> str:
    """Who sits at the terminal, for the record."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return f"user {os.getuid()}"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(masked_tree(value), indent=2, allow_nan=False) + "\n")
