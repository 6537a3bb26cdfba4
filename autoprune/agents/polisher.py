"""The proposer of a search's last candidate: the best one with its allocation improved by trials on the search split.

The trials spare or prune decoder blocks a little more, and keep what lowers the loss.
"""

import math
from collections.abc import Callable

from autoprune.agents.proposer import Draft, Request
from autoprune.agents.symbolic.source import part
from autoprune.candidates.contract import expensive_fields_named
from autoprune.config import Config
from autoprune.errors import CandidateFailure
from autoprune.evaluation.polish import Polished, polish
from autoprune.measuring.workbench import Workbench
from autoprune.runs.events import EventLog

OPERATOR = "polish"
ENGINE = "trials"
UNIFORM = "def allocate(units, sparsity):\n    return [1.0 - sparsity] * len(units)\n\n\n"


class Polisher:
    """Answers one request per run. It takes as long as dozens of measurements, so it reports its progress."""

    def __init__(self, workbench: Workbench, config: Config, events: EventLog) -> None:
        self._workbench = workbench
        self._generations = config.advanced.polish
        self._events = events
        self._drafts: dict[str, Draft] = {}

    def propose(self, request: Request) -> Draft:
        """The parent's source with another allocation; the same for a revision, since trials take no comments.

        The draft has no source when the parent fails.
        """
        slot = request.plan["slot"]
        if slot not in self._drafts:
            self._drafts[slot] = self._polish(request, slot)
        return self._drafts[slot]

    def _polish(self, request: Request, slot: str) -> Draft:
        parent, done = request.parents[0], 0

        def on_progress(loss: float) -> None:
            nonlocal done
            done += 1
            text = f"polishing the allocation of {parent.name}, {done} of {self._generations}: {math.exp(loss):.2f}"
            self._events.emit("notice", f"polishing/{slot}/{done}", text=f"{text} on the search split")

        try:
            result = self._search(parent.source, on_progress)
        except CandidateFailure as failure:
            return Draft(problem=f"the allocation of {parent.name} could not be polished: {failure}")
        gain = f"from {result.before:.4f} to {result.after:.4f}"
        thought = {
            "idea": f"the score of {parent.name}, its decoder blocks' densities improved by trials",
            "why": f"{result.windows} windows of trials took the loss on the search split {gain}",
            "expected": "better",
            "builds_on": [],
        }
        return Draft(thought, polished(parent.source, result.factors, result.own))

    def _search(self, source: str, on_progress: Callable[[float], None]) -> Polished:
        """Raises CandidateFailure. The candidate scores once per generation, and gets its time limit for each."""
        workbench, bench = self._workbench, self._workbench.bench
        bundle = bench.bundle(expensive_fields_named(source))
        sandbox = workbench.measurer.sandbox
        with workbench.measurer.lock, sandbox.open(source, bundle, self._generations + 1) as session:
            return polish(bench, session, workbench.sparsity, self._generations, workbench.config.seed, on_progress)


def polished(source: str, factors: list[float], own: bool) -> str:
    """A source whose `allocate` (its `own`, or a uniform one) has each density multiplied by its block's factor."""
    before = "" if own else UNIFORM
    return f"{source.rstrip()}\n\n\n{before}{part('polished')}\n\nallocate = spared(allocate, {factors})\n"
