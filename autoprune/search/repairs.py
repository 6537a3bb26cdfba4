"""Returns a failed candidate to its proposer with the failure, while a revision is left."""

from autoprune.agents.overview import with_slots
from autoprune.search.context import SearchContext
from autoprune.search.state import CandidateState, revisions_spent
from autoprune.tools.evaluate import CandidateReport

HONEST = {"exception", "shape", "dtype", "not-finite", "contract", "duplicate", "not-repeatable", "timeout", "memory"}
"""Reasons of failures that are mistakes which the proposer can correct."""


def worth_a_repair(context: SearchContext, state: CandidateState, report: CandidateReport) -> bool:
    """Whether the failure is an honest mistake of an LLM, with a revision left."""
    return (
        report.reason in HONEST
        and state["plan"]["engine"] == "llm"
        and revisions_spent(state) < context.config.advanced.revisions
    )


def send_back(context: SearchContext, state: CandidateState, report: CandidateReport) -> CandidateState:
    """Back to `propose` with the failure, how far it got and what took how long as a comment, in an event as the
    sandbox's review."""
    slot, revision = state["plan"]["slot"], state["revision"]
    # Named as in the prompts, which show candidates of earlier generations.
    earlier = [outcome for outcome in context.archive.outcomes() if outcome.generation < state["plan"]["generation"]]
    happened = f"{report.stage}: {report.reason}: {with_slots(report.message, earlier)}"
    comments = ["; ".join(filter(None, (happened, report.progress)))]
    facts = {"slot": slot, "revision": revision, "verdict": "revise", "comments": comments, "by": "sandbox"}
    context.events.emit("reviewed", f"ran/{slot}/{revision}", **facts)
    return {"verdict": "revise", "comments": comments, "revision": revision + 1}
