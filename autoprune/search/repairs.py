"""A candidate that failed goes back to its proposer, with what happened, as long as there is a revision left."""

from autoprune.search.context import SearchContext
from autoprune.search.state import CandidateState
from autoprune.tools.evaluate import CandidateReport

HONEST = {
    "exception",
    "shape",
    "dtype",
    "not-finite",
    "contract",
    "duplicate",
    "not-repeatable",
    "timeout",
    "memory",
}
"""Why a candidate fails whose proposer has made a mistake that it can mend."""


def worth_a_repair(context: SearchContext, state: CandidateState, report: CandidateReport) -> bool:
    """Whether the proposer is told what went wrong: an honest mistake of an LLM, with a revision left."""
    return (
        report.reason in HONEST
        and state["plan"]["engine"] == "llm"
        and state["revision"] < context.config.advanced.revisions
    )


def send_back(context: SearchContext, state: CandidateState, report: CandidateReport) -> CandidateState:
    """Back to `propose`, with the failure as a comment, which is told as the sandbox's review."""
    slot, revision = state["plan"]["slot"], state["revision"]
    comments = [f"{report.stage}: {report.reason}: {report.message}"]
    facts = {"slot": slot, "revision": revision, "verdict": "revise", "comments": comments, "by": "sandbox"}
    context.events.emit("reviewed", f"ran/{slot}/{revision}", **facts)
    return {"verdict": "revise", "comments": comments, "revision": revision + 1}
