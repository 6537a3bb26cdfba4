"""Who let which candidate run: requests, decisions and switches of the mode, as facts of the run's archive.

Another process may write decisions while a search runs: `autoprune approve` does. A decision is bound to the content
hash that was shown; the first one stands.
"""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Engine, Table, select

from autoprune.config_sections import Answer
from autoprune.config_values import Approval
from autoprune.runs import tables
from autoprune.runs.tables import ORDER, insert_into


def now() -> str:
    """Local time with its offset, in ISO 8601."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApprovalRequest(_Fact):
    """What somebody is asked. `candidate` is the content hash of the source in question.

    `review` is what the critic said, `findings` what the source screen found (severity, line, message); `parent` names
    the algorithm that the candidate was made from, `parent_source` its content hash. `sha256` is the whole hash of the
    source, of which `candidate` is the beginning; older records lack it.
    """

    slot: str
    candidate: str
    revision: int
    operator: str
    engine: str
    thought: dict[str, Any] = {}
    review: list[str] = []
    findings: list[dict[str, Any]] = []
    parent: str = ""
    parent_source: str | None = None
    sha256: str = ""


class Decision(_Fact):
    """One answer. `modify` lets the source with the hash `replacement` run instead of the one that was shown.

    `sha256` is the whole hash of the source that may run; older records lack it.
    """

    slot: str
    candidate: str
    decision: Answer
    who: str
    comment: str = ""
    replacement: str | None = None
    sha256: str = ""
    time: str = Field(default_factory=now)

    @model_validator(mode="after")
    def _replaced_if_modified(self) -> Self:
        if (self.decision == "modify") != (self.replacement is not None):
            raise ValueError("a replacement belongs to the decision modify, and to no other")
        return self

    @property
    def runs(self) -> str | None:
        """The content hash that this decision lets run; None if it lets nothing run."""
        return self.replacement if self.decision == "modify" else self.candidate if self.decision == "approve" else None


class Switch(_Fact):
    """From here on the run's candidates are approved in this way."""

    approval: Approval
    who: str
    time: str = Field(default_factory=now)


class Approvals:
    """The approvals of one archive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, request: ApprovalRequest) -> None:
        """Keep a request; a second time changes nothing."""
        self._put(tables.approval_requests, slot=request.slot, candidate=request.candidate, record=request.model_dump())

    def request(self, slot: str, candidate: str) -> ApprovalRequest | None:
        found = self._records(tables.approval_requests, slot, candidate)
        return ApprovalRequest.model_validate(found[0]) if found else None

    def pending(self) -> list[ApprovalRequest]:
        """The requests without a decision, oldest first."""
        decided = {(decision.slot, decision.candidate) for decision in self.decisions()}
        asked = [ApprovalRequest.model_validate(record) for record in self._records(tables.approval_requests)]
        return [request for request in asked if (request.slot, request.candidate) not in decided]

    def decide(self, decision: Decision) -> Decision:
        """Keep a decision unless there is one already; returns the one that stands."""
        self._put(
            tables.approval_decisions, slot=decision.slot, candidate=decision.candidate, record=decision.model_dump()
        )
        return self.decision(decision.slot, decision.candidate) or decision

    def decision(self, slot: str, candidate: str) -> Decision | None:
        found = self._records(tables.approval_decisions, slot, candidate)
        return Decision.model_validate(found[0]) if found else None

    def decisions(self) -> list[Decision]:
        """All decisions, oldest first."""
        return [Decision.model_validate(record) for record in self._records(tables.approval_decisions)]

    def may_run(self, slot: str, candidate: str, sha256: str = "") -> bool:
        """Whether a decision of this slot lets this very source run, whose whole hash is `sha256`."""
        return any(
            decision.slot == slot and decision.runs == candidate and decision.sha256 in ("", sha256)
            for decision in self.decisions()
        )

    def switch(self, switch: Switch) -> None:
        """Change how the run approves from here on."""
        self._put(tables.approval_switches, record=switch.model_dump())

    def switched(self) -> Switch | None:
        """The last change of the mode; None if the settings' mode holds."""
        found = self._records(tables.approval_switches)
        return Switch.model_validate(found[-1]) if found else None

    def _put(self, table: Table, **row: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert_into(table, connection).on_conflict_do_nothing(), [row])

    def _records(self, table: Table, slot: str | None = None, candidate: str | None = None) -> list[Any]:
        query = select(table.c.record).order_by(ORDER)
        if slot is not None:
            query = query.where(table.c.slot == slot, table.c.candidate == candidate)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())
