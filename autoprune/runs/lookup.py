"""Finds a candidate by a slot (g2.c1), the start of a content hash, or `best`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoprune.errors import UsageError

if TYPE_CHECKING:
    from autoprune.runs.archive import Archive
    from autoprune.runs.directory import RunDirectory

BEST = "best"


@dataclass(frozen=True)
class Found:
    """A slot and the content hash of a candidate that was proposed in it."""

    slot: str
    candidate: str


def find_candidate(archive: "Archive", name: str) -> Found:
    """The candidate of a name; for a slot the one that it ended with, else its last proposal.

    Raises UsageError with the run's slots.
    """
    if name == BEST:
        name = best_slot(archive)
    proposed = [(proposal.slot, proposal.candidate) for proposal in archive.proposals() if proposal.candidate]
    ended = [(outcome.slot, outcome.candidate) for outcome in archive.outcomes() if outcome.candidate]
    by_slot = dict([*proposed, *ended])
    if name in by_slot:
        return Found(name, by_slot[name])
    for slot, candidate in proposed:
        if name and candidate.startswith(name):
            return Found(slot, candidate)
    slots = ", ".join(by_slot) or "none"
    raise UsageError(f"there is no candidate {name!r} in this run; there are: {slots}")


def run_and_candidate(text: str) -> "tuple[RunDirectory, str]":
    """The run and the candidate's name in RUN:CANDIDATE. Raises UsageError."""
    from autoprune.runs.directory import RunDirectory

    name, colon, target = text.rpartition(":")
    if not (name and colon and target):
        raise UsageError(f"{text!r} is not of the form RUN:CANDIDATE (for example runs/mine:best)")
    return RunDirectory.open(Path(name)), target


def best_slot(archive: "Archive") -> str:
    """The measured candidate with the lowest perplexity on the search split. Raises UsageError if there is none."""
    outcomes = [outcome for outcome in archive.outcomes() if outcome.status == "measured"]
    measured = {outcome.slot: outcome.data["perplexity"] for outcome in outcomes}
    if not measured:
        raise UsageError("no candidate of this run has been measured yet")
    return min(measured, key=lambda slot: measured[slot])
