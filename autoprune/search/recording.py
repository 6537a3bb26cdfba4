"""Events and archive rows of one candidate's nodes: the active agent, proposals, and the outcome."""

from typing import Any

from autoprune.agents.proposer import SlotPlan
from autoprune.candidates.library import found_in
from autoprune.runs.archive import Outcome, Proposal
from autoprune.search.context import SearchContext
from autoprune.search.state import CandidateState

OF_SOURCE = {"formula", "tuned", "found"}
"""Fields of a thought that describe one source."""


def at_work(context: SearchContext, plan: SlotPlan, agent: str) -> None:
    context.events.emit("working", slot=plan["slot"], agent=agent)


def emit_proposal(context: SearchContext, proposal: Proposal, problem: str) -> None:
    context.events.emit(
        "proposed",
        f"proposed/{proposal.slot}/{proposal.revision}",
        slot=proposal.slot,
        revision=proposal.revision,
        operator=proposal.operator,
        engine=proposal.engine,
        candidate=proposal.candidate,
        thought=proposal.thought,
        problem=problem,
    )


def end(
    context: SearchContext,
    plan: SlotPlan,
    name: str | None,
    status: str,
    stage: str = "",
    reason: str = "",
    message: str = "",
    data: dict[str, Any] | None = None,
) -> CandidateState:
    outcome = Outcome(plan["slot"], plan["generation"], name or None, status, stage, reason, message, data or {})
    context.archive.add_outcome(outcome)
    facts = {key: value for key, value in vars(outcome).items() if key not in ("data", "slot")}
    context.events.emit("ended", f"ended/{plan['slot']}", slot=plan["slot"], **facts, **outcome.data)
    return {"outcome": status}


def found_of(context: SearchContext, source: str | None) -> dict[str, object]:
    """The field of a thought that names the found functions in a source."""
    names = found_in(source, context.found) if source is not None else []
    return {"found": names} if names else {}
