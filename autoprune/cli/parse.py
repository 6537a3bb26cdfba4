"""Parses values of options: lists separated by commas, sparsities, choices, settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from autoprune.config_errors import share_meant
from autoprune.config_values import Statistics
from autoprune.errors import UsageError
from autoprune.keywords import choice
from autoprune.pruning.refinements import table as refinements
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.pruning.updates import table as updates

__all__ = [
    "KINDS",
    "REFINEMENTS",
    "REFINEMENTS_HELP",
    "UPDATES",
    "UPDATES_HELP",
    "choice",
    "listed",
    "share",
    "split",
    "words",
]
REFINEMENTS = refinements.CHOICES
UPDATES = updates.CHOICES
KINDS: tuple[str, ...] = get_args(Statistics)


def split(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """A file of settings or None, and `key=value` words. Raises UsageError for a second file."""
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise UsageError(f"{files[1]!r} is not of the form key=value, and only one settings file is allowed")
    return (Path(files[0]) if files else None), [word for word in words if "=" in word]


def words(text: str) -> list[str]:
    """The words of a list separated by commas. Raises UsageError for an empty one."""
    items = [word.strip() for word in text.split(",") if word.strip()]
    if not items:
        raise UsageError(f"{text!r} is empty; give one or more names, separated by commas")
    return items


def share(text: str, option: str) -> float:
    """A share that an option gives, such as a sparsity. Raises UsageError for anything but a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a number between 0 and 1") from None
    if not 0.0 < value < 1.0:
        raise UsageError(f"{option} {value:g} is not between 0 and 1{share_meant(value)}")
    return value


def listed(names: Sequence[str]) -> str:
    """For a help text: `auto, docker or local`."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


REFINEMENTS_HELP = f"{listed(REFINEMENTS)} (dsnot: DSnoT; swaps: {SWAP_ROUNDS} rounds with the full Hessian)."
UPDATES_HELP = (
    f"New values of the kept weights: {listed(UPDATES)} (those with -own choose their own masks and need the algorithm "
    "wanda)."
)
