"""Describes the best candidate in one sentence by the analyst's model, once at the end of the search."""

from collections.abc import Sequence
from typing import Any

from autoprune.errors import BudgetSpent, ChatError, RunPaused
from autoprune.search.contenders import Contender
from autoprune.search.context import SearchContext


def explain_best(context: SearchContext, rows: Sequence[dict[str, Any]], taking_part: Sequence[Contender]) -> None:
    """Emit a sentence about the finalist with the lowest perplexity on the search split, if there is a model to ask.

    `rows`: those of the confirmation. Without budget, or with an endpoint that is down, the sentence is left out.
    """
    finalists = [row for row in rows if row["kind"] == "candidate" and row["report"] is not None]
    if not finalists:
        return
    name = min(finalists, key=lambda row: row["search"])["candidate"]
    slot = next(contender.slot for contender in taking_part if contender.candidate == name)
    proposal = context.archive.proposal(slot)
    try:
        explanation = context.analyst.explain(slot, proposal.thought if proposal else {}, context.run.source(name))
    except BudgetSpent:
        return
    except (ChatError, RunPaused) as problem:
        context.events.emit("notice", "explaining", text=f"the best candidate gets no description: {problem}")
        return
    if explanation is not None:
        text, model = explanation
        context.events.emit("explained", "explained", slot=slot, candidate=name, text=text, by=model)
