"""The nodes of one candidate: propose, critique, approve, evaluate. Each can be run again after a crash."""

from dataclasses import replace
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from autoprune.agents.critic import Review, RuleCritic, Submission
from autoprune.agents.proposer import Draft, Request, SlotPlan
from autoprune.candidates.inlining import inlined
from autoprune.candidates.library import found_in
from autoprune.candidates.screen import Rules, screen
from autoprune.config_sections import AdvancedSettings
from autoprune.config_values import WITHOUT_MODEL
from autoprune.errors import AutoPruneError, BudgetSpent
from autoprune.gcot.chain import SECTIONS, compile_chain
from autoprune.runs.approvals import ApprovalRequest, Decision
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.directory import full_hash
from autoprune.search.comparison_pool import as_raw, elite, gain, masks_before, measured_before, of_same_league
from autoprune.search.context import SearchContext
from autoprune.search.plan import parents_of
from autoprune.search.repairs import send_back, worth_a_repair
from autoprune.search.state import CandidateState, revisions_spent
from autoprune.tools.evaluate import EvaluateCandidate, evaluate_candidate

KEPT = {
    *("perplexity", "partial_perplexity", "estimated_perplexity", "windows_measured", "cached", "sparsity", "zeros"),
    *("league", "reconstruction", "worst_layers", "seconds", "memory_bytes", "agreement", "flags"),
}
"""Fields of the tool's report that are stored with the outcome, if they have a value."""
OF_SOURCE = {"formula", "tuned", "found"}
"""Fields of a thought that describe one source."""


def propose(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Ask the plan's proposer; for a revision with its own code and the critic's comments."""
    context, plan, revision = runtime.context, state["plan"], state["revision"]
    if plan["operator"] in WITHOUT_MODEL:  # takes long, and no prompt shows it
        context.siblings.answered(plan["slot"])
    try:
        at_work(context, plan, "proposer")
        request = _request(context, state)
        draft = context.proposers[plan["engine"]].propose(request)
        earlier = context.archive.proposal(plan["slot"]) if revision else None
        # A revision keeps what it does not state again, except what describes its former source.
        kept = {key: value for key, value in earlier.thought.items() if key not in OF_SOURCE} if earlier else {}
        return _keep(context, state, request, Draft({**kept, **draft.thought}, draft.source, draft.problem))
    except BudgetSpent as spent:
        return _end(context, plan, None, "unusable", "propose", spent.reason, str(spent))
    finally:
        context.siblings.answered(plan["slot"])


def critique(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Let the critic review the proposal; the verdict decides the next node."""
    context, plan, revision = runtime.context, state["plan"], state["revision"]
    at_work(context, plan, "critic")
    name = state.get("candidate")
    proposal = context.archive.proposal(plan["slot"])
    submission = Submission(
        slot=plan["slot"],
        generation=plan["generation"],
        revision=revision,
        thought=proposal.thought if proposal else {},
        source=context.run.source(name) if name else None,
        problem="; ".join(state["comments"]),
        known=context.population(plan["generation"]).ranked(),
        engine=plan["engine"],
        rules=Rules.of(context.config),
    )
    # What improves a candidate without a model is reviewed without one, too.
    critic = RuleCritic(signs=False) if plan["operator"] in WITHOUT_MODEL else context.critic
    try:
        review = critic.review(submission)
    except BudgetSpent as spent:
        return _end(context, plan, name, "rejected", "critique", "budget", str(spent))
    verdict = _verdict(review, revisions_spent(state), context.config.advanced)
    context.events.emit(
        "reviewed",
        f"reviewed/{plan['slot']}/{revision}",
        slot=plan["slot"],
        revision=revision,
        verdict=verdict,
        comments=review.comments,
        by=review.by,
    )
    if verdict == "reject":
        status = "rejected" if name else "unusable"
        return _end(context, plan, name, status, "critique", "critic", "; ".join(review.comments))
    return {"verdict": verdict, "comments": review.comments, "revision": revision + (verdict == "revise")}


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
    return _end(context, plan, name, "rejected", "approve", "approval", decision.comment or f"by {decision.who}")


def evaluate(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Call the tool `evaluate_candidate` and store its report."""
    context, plan, name = runtime.context, state["plan"], state["candidate"]
    check_approved(context, plan["slot"], name)
    at_work(context, plan, "sandbox")
    earlier = measured_before(context, plan)
    request = EvaluateCandidate(candidate=name, against=masks_before(context, earlier, name))
    if name not in earlier:  # a full measurement stands, even if the elite has become better since
        seeds = {row.subject: row.perplexity for row in context.seeds().values()}
        peers = as_raw(context, plan, of_same_league(context, earlier, name))
        request.elite = elite(context.config.confirmation.finalists, peers, seeds)
    report = evaluate_candidate(context.workbench, request)
    if worth_a_repair(context, state, report):
        return send_back(context, state, report)
    data = report.model_dump(include=KEPT)
    data |= {"nearest": report.nearest, "diagnostics": report.diagnostics[-2000:], "gain": gain(context, plan, report)}
    data = {key: value for key, value in data.items() if value is not None and value is not False}
    return _end(context, plan, name, report.status, report.stage, report.reason, report.message, data)


def after_propose(state: CandidateState) -> Literal["critique", "__end__"]:
    return "__end__" if state.get("outcome") else "critique"


def after_critique(state: CandidateState) -> Literal["propose", "approve", "__end__"]:
    if state.get("outcome"):
        return "__end__"
    return "propose" if state["verdict"] == "revise" else "approve"


def after_evaluate(state: CandidateState) -> Literal["propose", "__end__"]:
    return "__end__" if state.get("outcome") else "propose"


def after_approve(state: CandidateState) -> Literal["propose", "tune", "__end__"]:
    if state.get("outcome"):
        return "__end__"
    return "tune" if state.get("decision") else "propose"


def _request(context: SearchContext, state: CandidateState) -> Request:
    plan = state["plan"]
    population = context.population(plan["generation"])
    gcot = context.gcot(plan["generation"])
    parents = parents_of(plan, population)
    sections = plan.get("sections", SECTIONS)
    previous = state.get("candidate") if state["revision"] else None
    proposal = context.archive.proposal(plan["slot"]) if state["revision"] else None
    return Request(
        plan=plan,
        seed=str(context.config.seed),
        revision=state["revision"],
        parents=parents,
        known=population.ranked(),
        chain=compile_chain(
            gcot,
            [parent.name for parent in parents],
            context.config.agents.gcot,
            sections,
            *([None] if context.briefing else []),
        ),
        references=frozenset(gcot.nodes),
        comments=state["comments"],
        previous=context.run.source(previous) if previous else None,
        idea=str(proposal.thought.get("idea", "")) if proposal else "",
    )


def _keep(context: SearchContext, state: CandidateState, request: Request, draft: Draft) -> CandidateState:
    plan, revision = state["plan"], state["revision"]
    source = inlined(draft.source, context.found) if draft.source is not None else None
    name = context.run.save_source(source) if source is not None else None
    proposal = Proposal(
        slot=plan["slot"],
        revision=revision,
        generation=plan["generation"],
        operator=plan["operator"],
        engine=plan["engine"],
        parents=plan["parents"],
        thought=draft.thought | _found(context, source),
        candidate=name,
        chain=[step.record() for step in request.chain],
        sections=plan.get("sections"),
    )
    context.archive.add_proposal(proposal)
    emit_proposal(context, proposal, draft.problem)
    return {"candidate": name or "", "comments": [draft.problem] if draft.problem else []}


def _found(context: SearchContext, source: str | None) -> dict[str, object]:
    """The field of a thought that names the found functions in a source."""
    names = found_in(source, context.found) if source is not None else []
    return {"found": names} if names else {}


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
        raise AutoPruneError(f"the archive holds no proposal of {plan['slot']}, so that nothing can be modified")
    outdated = {"expression", "allocation", *OF_SOURCE}
    thought = {key: value for key, value in proposal.thought.items() if key not in outdated}
    thought |= {"edited": f"by {decision.who}{': ' if decision.comment else ''}{decision.comment}"}
    thought |= _found(context, context.run.source(name))
    edited = replace(proposal, revision=revision, engine="human", thought=thought, candidate=name)
    context.archive.add_proposal(edited)
    emit_proposal(context, edited, "")
    return {"candidate": name, "revision": revision, "decision": decision.decision}


def _verdict(review: Review, revision: int, settings: AdvancedSettings) -> str:
    """Fatal findings get the allowed number of revisions and then end the candidate. Other objections get one revision;
    then the candidate is measured."""
    if review.verdict == "accept" or (review.verdict == "reject" and review.fatal):
        return review.verdict
    allowed = settings.revisions if review.fatal else min(settings.revisions, 1)
    if revision < allowed:
        return "revise"
    return "reject" if review.fatal else "accept"


def check_approved(context: SearchContext, slot: str, name: str) -> None:
    """Raises AutoPruneError for a candidate without an approval, which must not run."""
    if not context.archive.approvals.may_run(slot, name, full_hash(context.run.source(name))):
        raise AutoPruneError(f"candidate {name} of {slot} was not approved; it does not run")


def at_work(context: SearchContext, plan: SlotPlan, agent: str) -> None:
    context.events.emit("working", slot=plan["slot"], agent=agent)


def _end(
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
