"""Approval: who may say that a candidate runs. A decision is bound to the content hash of what was shown."""

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict


class Decision(BaseModel):
    """One answer. `candidate` is the content hash that was approved or rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidate: str
    decision: Literal["approve", "reject"]
    who: str
    comment: str = ""


class Approver(Protocol):
    def decide(self, slot: str, candidate: str) -> Decision: ...


class AutoApprover:
    """Approves everything that the critic let through: the sandbox is the boundary, not the approval."""

    def decide(self, slot: str, candidate: str) -> Decision:
        return Decision(candidate=candidate, decision="approve", who="policy: auto")
