"""The node `approve`: gets a decision on a candidate."""

from dataclasses import replace
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from autoprune.candidates.screen import Rules, screen
from autoprune.errors import AutoPruneError
from autoprune.runs.approvals import ApprovalRequest, Decision
from autoprune.runs.directory import full_hash
from autoprune.search.context import SearchContext
from autoprune.search.plan import parents_of
from autoprune.search.recording import OF_SOURCE, emit_proposal, end, found_of
from autoprune.search.state import CandidateState, revisions_spent


def approve(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Get a decision on the content hash that was reviewed; interrupt if a person has to be asked.

    Runs again from its first line for every answer to a sibling, so everything before the interrupt is idempotent.
    """
    context, plan, name = runtime.context, state["plan"], state["candidate"]
    request = _approval_request(context, state)
    switched = context.archive.approvals.switched()
    if switched is not None:
        context.events.emit("approval-switched", f"approval-switched/{switched.time}", **switched.model_dump())
    decision = context.approver.decide(request)
    if decision is None:
        context.archive.approvals.ask(request)
        context.events.emit("asked", f"asked/{plan['slot']}/{name}", slot=plan["slot"], candidate=name)
        decision = Decision.model_validate(interrupt({"slot": plan["slot"], "candidate": name}))
    if (decision.slot, decision.candidate) != (plan["slot"], name):
        raise AutoPruneError(f"the answer for {plan['slot']} {name} is about {decision.slot} {decision.candidate}")
    context.events.emit("decided", f"decided/{plan['slot']}/{name}", **decision.model_dump())
    if decision.decision == "modify":
        return _replace(context, state, decision)
    if decision.decision == "approve":
        return {"decision": decision.decision}
    if decision.comment and revisions_spent(state) < context.config.advanced.revisions:
        revision = state["revision"] + 1
        return {"verdict": "revise", "decision": "", "comments": [decision.comment], "revision": revision}
    return end(context, plan, name, "rejected", "approve", "approval", decision.comment or f"by {decision.who}")


def after_approve(state: CandidateState) -> Literal["propose", "tune", "__end__"]:
    if state.get("outcome"):
        return "__end__"
    return "tune" if state.get("decision") else "propose"


def check_approved(context: SearchContext, slot: str, name: str) -> None:
    """Raises AutoPruneError for a candidate without an approval, which must not run."""
    if not context.archive.approvals.may_run(slot, name, full_hash(context.run.source(name))):
        raise AutoPruneError(f"candidate {name} of {slot} was not approved; it does not run")


def _approval_request(context: SearchContext, state: CandidateState) -> ApprovalRequest:
    plan, name = state["plan"], state["candidate"]
    proposal = context.archive.proposal(plan["slot"])
    parents = parents_of(plan, context.population(plan["generation"]))
    return ApprovalRequest(
        slot=plan["slot"],
        candidate=name,
        revision=state["revision"],
        operator=plan["operator"],
        engine=plan["engine"],
        thought=proposal.thought if proposal else {},
        review=state["comments"],
        findings=[vars(finding) for finding in screen(context.run.source(name), Rules.of(context.config))],
        parent=parents[0].name if parents else "",
        parent_source=context.run.save_source(parents[0].source) if parents else None,
        sha256=full_hash(context.run.source(name)),
    )


def _replace(context: SearchContext, state: CandidateState, decision: Decision) -> CandidateState:
    """Continue with a person's source: one more revision with the same thought, without the former source's formula."""
    plan, revision, name = state["plan"], state["revision"] + 1, str(decision.replacement)
    proposal = context.archive.proposal(plan["slot"])
    if proposal is None:
        raise AutoPruneError(f"the archive has no proposal of {plan['slot']} to modify")
    outdated = {"expression", "importance", "allocation", *OF_SOURCE}
    thought = {key: value for key, value in proposal.thought.items() if key not in outdated}
    thought |= {"edited": f"by {decision.who}{': ' if decision.comment else ''}{decision.comment}"}
    thought |= found_of(context, context.run.source(name))
    edited = replace(proposal, revision=revision, engine="human", thought=thought, candidate=name)
    context.archive.add_proposal(edited)
    emit_proposal(context, edited, "")
    return {"candidate": name, "revision": revision, "decision": decision.decision}
