"""The proposer of a search's last candidate: the best one, its allocation improved by trials on the search split."""

import math

from autoprune.agents.proposer import Draft, Request
from autoprune.agents.symbolic.source import part
from autoprune.config import Config
from autoprune.errors import CandidateFailure
from autoprune.measuring.polish import polish_allocation
from autoprune.measuring.workbench import Workbench
from autoprune.runs.events import EventLog

OPERATOR = "polish"
ENGINE = "trials"
UNIFORM = "def allocate(units, sparsity):\n    return [1.0 - sparsity] * len(units)\n\n\n"


class Polisher:
    """Answers one request in a run; that takes as long as dozens of measurements, so it says how far it is."""

    def __init__(self, workbench: Workbench, config: Config, events: EventLog) -> None:
        self._workbench = workbench
        self._generations = config.advanced.polish
        self._events = events
        self._made: dict[str, Draft] = {}

    def propose(self, request: Request) -> Draft:
        """The parent's source with another allocation; on a revision the same again, for trials know no comments.

        A draft without source when the parent fails.
        """
        slot = request.plan["slot"]
        if slot not in self._made:
            self._made[slot] = self._polish(request, slot)
        return self._made[slot]

    def _polish(self, request: Request, slot: str) -> Draft:
        parent, done = request.parents[0], 0

        def tell(loss: float) -> None:
            nonlocal done
            done += 1
            text = f"polishing the allocation of {parent.name}, {done} of {self._generations}: {math.exp(loss):.2f}"
            self._events.emit("notice", f"polishing/{slot}/{done}", text=f"{text} on the search split")

        try:
            found = polish_allocation(self._workbench, parent.source, self._generations, tell)
        except CandidateFailure as failure:
            return Draft(problem=f"the allocation of {parent.name} could not be polished: {failure}")
        gain = f"from {found.before:.4f} to {found.after:.4f}"
        thought = {
            "idea": f"the score of {parent.name}, its decoder blocks' densities improved by trials",
            "why": f"{found.windows} windows of trials took the loss on the search split {gain}",
            "expected": "better",
            "builds_on": [],
        }
        return Draft(thought, polished(parent.source, found.factors, found.own))


def polished(source: str, factors: list[float], own: bool) -> str:
    """A source whose `allocate`, its `own` or a uniform one, has every density multiplied by its block's factor."""
    before = "" if own else UNIFORM
    return f"{source.rstrip()}\n\n\n{before}{part('polished')}\n\nallocate = spared(allocate, {factors})\n"
