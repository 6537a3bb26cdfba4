"""The tool `recall`: what the run has tried so far."""

from typing import Literal

from pydantic import BaseModel, Field

from autoprune.measuring.workbench import Workbench


class Recall(BaseModel):
    """The tool's input: the best candidates, or the last failures."""

    what: Literal["best", "failures"] = "best"
    limit: int = Field(5, ge=1, le=50)


class RecalledCandidate(BaseModel):
    """One candidate of the run. `perplexity` is None for a failure, whose `problem` says why."""

    slot: str
    candidate: str | None
    idea: str
    perplexity: float | None
    problem: str


def recall(workbench: Workbench, request: Recall, before: int | None = None) -> list[RecalledCandidate]:
    """Candidates of the run by perplexity (best first), or failures (latest first); only of generations before one."""
    archive = workbench.archive
    ideas = {proposal.slot: str(proposal.thought.get("idea", "")) for proposal in archive.proposals()}
    wanted = "measured" if request.what == "best" else "failed"
    found = [
        RecalledCandidate(
            slot=outcome.slot,
            candidate=outcome.candidate,
            idea=ideas.get(outcome.slot, ""),
            perplexity=outcome.data.get("perplexity"),
            problem=outcome.message,
        )
        for outcome in archive.outcomes()
        if outcome.status == wanted and (before is None or outcome.generation < before)
    ]
    if request.what == "best":
        found.sort(key=lambda memory: memory.perplexity or 0.0)
    else:
        found.reverse()
    return found[: request.limit]
