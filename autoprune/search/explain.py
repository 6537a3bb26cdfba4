"""Describes the finalist of the conclusion in one sentence by the analyst's model, once at the end of the search."""

from collections.abc import Sequence

from autoprune.errors import BudgetSpent, ChatError, RunPaused
from autoprune.search.conclusion import Row
from autoprune.search.contenders import Contender
from autoprune.search.context import SearchContext


def explain(context: SearchContext, finalist: Row, taking_part: Sequence[Contender]) -> None:
    """Emit a sentence about a finalist, if there is a model to ask.

    Without budget, or with an endpoint that is down, the sentence is left out.
    """
    name = finalist["candidate"]
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
