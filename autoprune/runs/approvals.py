"""Approvals in a run's archive: requests, decisions, and switches of the mode.

Other processes, such as `autoprune approve`, may decide while a search runs. A decision is bound to the content
hash that was shown; the first decision stands.
"""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Engine, Table, select

from autoprune.config_agents import Answer
from autoprune.config_values import Approval
from autoprune.runs import tables
from autoprune.runs.tables import ORDER, insert_into


def now() -> str:
    """Local time with its offset, in ISO 8601."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApprovalRequest(_Fact):
    """A request for approval of the source with the content hash `candidate`.

    `review`: comments of the critic. `findings`: of the source screen (severity, line, message). `parent`: the parent
    algorithm's name, `parent_source`: its content hash. `sha256`: the full hash of the source, of which `candidate` is
    a prefix; empty in older records.
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
    """A decision. `modify` approves the source with the hash `replacement` instead of the one that was shown.

    `sha256`: the full hash of the approved source; empty in older records.
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
        """The content hash of the approved source; None for a rejection."""
        return self.replacement if self.decision == "modify" else self.candidate if self.decision == "approve" else None


class Switch(_Fact):
    """A change of the run's approval mode."""

    approval: Approval
    who: str
    time: str = Field(default_factory=now)


class Approvals:
    """The approvals of one archive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, request: ApprovalRequest) -> None:
        self._put(tables.approval_requests, slot=request.slot, candidate=request.candidate, record=request.model_dump())

    def request(self, slot: str, candidate: str) -> ApprovalRequest | None:
        records = self._records(tables.approval_requests, slot, candidate)
        return ApprovalRequest.model_validate(records[0]) if records else None

    def pending(self) -> list[ApprovalRequest]:
        decided = {(decision.slot, decision.candidate) for decision in self.decisions()}
        requests = [ApprovalRequest.model_validate(record) for record in self._records(tables.approval_requests)]
        return [request for request in requests if (request.slot, request.candidate) not in decided]

    def decide(self, decision: Decision) -> Decision:
        """Store a decision unless there is one; returns the one that stands."""
        self._put(
            tables.approval_decisions, slot=decision.slot, candidate=decision.candidate, record=decision.model_dump()
        )
        return self.decision(decision.slot, decision.candidate) or decision

    def decision(self, slot: str, candidate: str) -> Decision | None:
        records = self._records(tables.approval_decisions, slot, candidate)
        return Decision.model_validate(records[0]) if records else None

    def decisions(self) -> list[Decision]:
        return [Decision.model_validate(record) for record in self._records(tables.approval_decisions)]

    def may_run(self, slot: str, candidate: str, sha256: str = "") -> bool:
        """Whether a decision of this slot approves this source, whose full hash is `sha256`."""
        return any(
            decision.slot == slot and decision.runs == candidate and decision.sha256 in ("", sha256)
            for decision in self.decisions()
        )

    def switch(self, switch: Switch) -> None:
        self._put(tables.approval_switches, record=switch.model_dump())

    def switched(self) -> Switch | None:
        """The last change of the mode; None if the mode of the settings applies."""
        records = self._records(tables.approval_switches)
        return Switch.model_validate(records[-1]) if records else None

    def _put(self, table: Table, **row: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert_into(table, connection).on_conflict_do_nothing(), [row])

    def _records(self, table: Table, slot: str | None = None, candidate: str | None = None) -> list[Any]:
        query = select(table.c.record).order_by(ORDER)
        if slot is not None:
            query = query.where(table.c.slot == slot, table.c.candidate == candidate)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())
