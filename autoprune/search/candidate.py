"""The nodes propose, critique and evaluate of one candidate. Each can be run again after a crash."""

from typing import Literal

from langgraph.runtime import Runtime

from autoprune.agents.critic import Review, RuleCritic, Submission
from autoprune.agents.proposer import Draft, Request
from autoprune.candidates.inlining import inlined
from autoprune.candidates.screen import Rules
from autoprune.config_sections import AdvancedSettings
from autoprune.config_values import WITHOUT_MODEL
from autoprune.errors import BudgetSpent
from autoprune.gcot.chain import SECTIONS, compile_chain
from autoprune.runs.archive import Proposal
from autoprune.search.approve import check_approved
from autoprune.search.comparison_pool import as_raw, contrast, elite, masks_before, measured_before, of_same_league
from autoprune.search.context import SearchContext
from autoprune.search.plan import parents_of
from autoprune.search.recording import OF_SOURCE, at_work, emit_proposal, end, found_of
from autoprune.search.repairs import send_back, worth_a_repair
from autoprune.search.state import CandidateState, revisions_spent
from autoprune.tools.evaluate import EvaluateCandidate, evaluate_candidate

KEPT = {
    *("perplexity", "partial_perplexity", "estimated_perplexity", "windows_measured", "cached", "sparsity", "zeros"),
    *("league", "reconstruction", "worst_layers", "seconds", "memory_bytes", "agreement", "flags"),
}
"""Fields of the tool's report that are stored with the outcome, if they have a value."""


def propose(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Ask the plan's proposer; for a revision with its own code and the critic's comments."""
    context, plan, revision = runtime.context, state["plan"], state["revision"]
    if plan["operator"] in WITHOUT_MODEL:  # takes long, and no prompt shows it
        context.siblings.answered(plan["slot"])
    try:
        at_work(context, plan, "proposer")
        request = _request(context, state)
        draft = context.proposer(plan).propose(request)
        earlier = context.archive.proposal(plan["slot"]) if revision else None
        # A revision keeps what it does not state again, except what describes its former source.
        kept = {key: value for key, value in earlier.thought.items() if key not in OF_SOURCE} if earlier else {}
        return _keep(context, state, request, Draft({**kept, **draft.thought}, draft.source, draft.problem))
    except BudgetSpent as spent:
        return end(context, plan, None, "unusable", "propose", spent.reason, str(spent))
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
        return end(context, plan, name, "rejected", "critique", "budget", str(spent))
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
        return end(context, plan, name, status, "critique", "critic", "; ".join(review.comments))
    return {"verdict": verdict, "comments": review.comments, "revision": revision + (verdict == "revise")}


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
    data |= {"nearest": report.nearest, "diagnostics": report.diagnostics[-2000:], **contrast(context, plan, report)}
    data = {key: value for key, value in data.items() if value is not None and value is not False}
    return end(context, plan, name, report.status, report.stage, report.reason, report.message, data)


def after_propose(state: CandidateState) -> Literal["critique", "__end__"]:
    return "__end__" if state.get("outcome") else "critique"


def after_critique(state: CandidateState) -> Literal["propose", "approve", "__end__"]:
    if state.get("outcome"):
        return "__end__"
    return "propose" if state["verdict"] == "revise" else "approve"


def after_evaluate(state: CandidateState) -> Literal["propose", "__end__"]:
    return "__end__" if state.get("outcome") else "propose"


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
        thought=draft.thought | found_of(context, source) | {name: plan[name] for name in ("model",) if name in plan},
        candidate=name,
        chain=[step.record() for step in request.chain],
        sections=plan.get("sections"),
    )
    context.archive.add_proposal(proposal)
    emit_proposal(context, proposal, draft.problem)
    return {"candidate": name or "", "comments": [draft.problem] if draft.problem else []}


def _verdict(review: Review, revision: int, settings: AdvancedSettings) -> str:
    """Fatal findings get the allowed number of revisions and then end the candidate. Other objections get one revision;
    then the candidate is measured."""
    if review.verdict == "accept" or (review.verdict == "reject" and review.fatal):
        return review.verdict
    allowed = settings.revisions if review.fatal else min(settings.revisions, 1)
    if revision < allowed:
        return "revise"
    return "reject" if review.fatal else "accept"
