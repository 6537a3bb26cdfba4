"""The tool `recall`: the run's earlier candidates."""

from typing import Literal

from pydantic import BaseModel, Field

from autoprune.measuring.workbench import Workbench


class Recall(BaseModel):
    """The tool's input: the best candidates, or the last failures."""

    what: Literal["best", "failures"] = "best"
    limit: int = Field(5, ge=1, le=50)


class RecalledCandidate(BaseModel):
    """One candidate of the run. `perplexity`: None for a failure, whose reason is in `problem`."""

    slot: str
    candidate: str | None
    idea: str
    perplexity: float | None
    problem: str


def recall(workbench: Workbench, request: Recall, before: int | None = None) -> list[RecalledCandidate]:
    """Measured candidates, best first, or failures, latest first. `before`: only of earlier generations."""
    archive = workbench.archive
    ideas = {proposal.slot: str(proposal.thought.get("idea", "")) for proposal in archive.proposals()}
    status = "measured" if request.what == "best" else "failed"
    candidates = [
        RecalledCandidate(
            slot=outcome.slot,
            candidate=outcome.candidate,
            idea=ideas.get(outcome.slot, ""),
            perplexity=outcome.data.get("perplexity"),
            problem=outcome.message,
        )
        for outcome in archive.outcomes()
        if outcome.status == status and (before is None or outcome.generation < before)
    ]
    if request.what == "best":
        candidates.sort(key=lambda candidate: candidate.perplexity or 0.0)
    else:
        candidates.reverse()
    return candidates[: request.limit]
