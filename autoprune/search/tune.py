"""The node that tunes a candidate's free parameters (`PARAMS`) after it was approved and before it is measured."""

from collections.abc import Mapping
from dataclasses import replace

from langgraph.runtime import Runtime

from autoprune.candidates.parameters import Range, as_text, middles, ranges, with_values
from autoprune.errors import CandidateFailure
from autoprune.runs.approvals import Decision
from autoprune.runs.directory import full_hash
from autoprune.search.approve import check_approved
from autoprune.search.context import SearchContext
from autoprune.search.recording import at_work, emit_proposal
from autoprune.search.state import CandidateState

TUNED = "tuned"
"""The field of a thought that holds the tuned values with their ranges."""


def tune(state: CandidateState, runtime: Runtime[SearchContext]) -> CandidateState:
    """Replace the ranges in a candidate's source by tuned values, as one more revision under the same approval."""
    context, plan, name = runtime.context, state["plan"], state["candidate"]
    source = context.run.source(name)
    free = ranges(source)
    if not free or context.config.search.structure is not None:  # where PARAMS are refused
        return {}
    revision = state["revision"] + 1
    proposal = context.archive.proposal(plan["slot"])
    if proposal is not None and proposal.revision == revision and proposal.candidate:  # tuned before a crash
        return {"candidate": proposal.candidate, "revision": revision, "tunings": state.get("tunings", 0) + 1}
    check_approved(context, plan["slot"], name)
    at_work(context, plan, "sandbox")
    values, how = _tuned(context, source, free)
    text = f"{as_text(free, values)}: {how}"
    context.events.emit("notice", f"tuned/{plan['slot']}/{state['revision']}", text=f"{plan['slot']}: tuned {text}")
    tuned = with_values(source, values)
    candidate = context.run.save_source(tuned)
    _approve(context, plan["slot"], candidate, full_hash(tuned), name)
    if proposal is not None:
        thought = {**proposal.thought, TUNED: text}
        proposal = replace(proposal, revision=revision, thought=thought, candidate=candidate)
        context.archive.add_proposal(proposal)
        emit_proposal(context, proposal, "")
    return {"candidate": candidate, "revision": revision, "tunings": state.get("tunings", 0) + 1}


def _tuned(context: SearchContext, source: str, free: Mapping[str, Range]) -> tuple[dict[str, float], str]:
    """The values, and how they were found. The middles of the ranges if the candidate fails with them, so that the
    measurement reports the failure."""
    from autoprune.measuring.parameter_tuning import ParameterTuner

    if not context.config.advanced.parameter_trials:
        return middles(free), "the middles of the ranges, since advanced.parameter_trials is 0"
    try:
        with context.workbench.measurer.lock:
            values, stages = ParameterTuner.of(context.workbench, source).tune()
    except CandidateFailure as failure:
        return middles(free), f"the middles of the ranges, with which it fails ({failure.reason})"
    return values, "; ".join(map(str, stages))


def _approve(context: SearchContext, slot: str, candidate: str, sha256: str, draft: str) -> None:
    """The approval of a source with ranges covers all values in them."""
    decision = Decision(
        slot=slot,
        candidate=candidate,
        decision="approve",
        who="tuning",
        comment=f"values within the approved ranges of {draft}",
        sha256=sha256,
    )
    context.archive.approvals.decide(decision)
    context.events.emit("decided", f"decided/{slot}/{candidate}", **decision.model_dump())
