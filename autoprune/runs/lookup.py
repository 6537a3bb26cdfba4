"""From what a user calls a candidate to the candidate: a slot (g2.c1), the start of a content hash, or `best`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoprune.errors import UsageError

if TYPE_CHECKING:
    from autoprune.runs.archive import Archive

BEST = "best"


@dataclass(frozen=True)
class Found:
    """A slot and the content hash of a candidate that was proposed in it."""

    slot: str
    candidate: str


def find_candidate(archive: "Archive", wanted: str) -> Found:
    """Of a slot the candidate that it ended with, else the last one proposed there: earlier revisions were given up.

    Raises UsageError, which names the slots that there are.
    """
    if wanted == BEST:
        wanted = best_slot(archive)
    last: dict[str, str] = {}
    proposed = [(each.slot, each.candidate) for each in archive.proposals() if each.candidate]
    for slot, candidate in [*proposed, *((each.slot, each.candidate) for each in archive.outcomes() if each.candidate)]:
        last[slot] = candidate
    if wanted in last:
        return Found(wanted, last[wanted])
    for slot, candidate in proposed:
        if wanted and candidate.startswith(wanted):
            return Found(slot, candidate)
    known = ", ".join(last) or "none"
    raise UsageError(f"there is no candidate {wanted!r} in this run; there are: {known}")


def best_slot(archive: "Archive") -> str:
    """The measured candidate with the lowest perplexity on the search split. Raises UsageError when there is none."""
    measured = {each.slot: each.data["perplexity"] for each in archive.outcomes() if each.status == "measured"}
    if not measured:
        raise UsageError("no candidate of this run has been measured yet")
    return min(measured, key=lambda slot: measured[slot])
