"""The proposer by trials: operators that improve measured candidates without a model, by any proposer."""

from autoprune.agents.polisher import polished_draft
from autoprune.agents.proposer import Draft, Request
from autoprune.agents.recombiner import recombined_draft
from autoprune.measuring.workbench import Workbench
from autoprune.runs.events import EventLog

ENGINE = "trials"


class TrialProposer:
    """Answers each slot once: a revision gets the same draft, since trials take no comments."""

    def __init__(self, workbench: Workbench, events: EventLog) -> None:
        self._workbench = workbench
        self._events = events
        self._drafts: dict[str, Draft] = {}

    def propose(self, request: Request) -> Draft:
        """A draft; without source when a parent fails."""
        slot = request.plan["slot"]
        if slot not in self._drafts:
            if request.plan["operator"] == "polish":
                self._drafts[slot] = polished_draft(self._workbench, self._events, request)
            else:
                self._drafts[slot] = recombined_draft(self._workbench, request)
        return self._drafts[slot]
