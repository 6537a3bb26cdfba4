"""What was found, in plain words: the analyst's model reads the best candidate's source once, at the end."""

from collections.abc import Sequence
from typing import Any

from autoprune.errors import BudgetSpent, ChatError, RunPaused
from autoprune.search.contenders import Contender
from autoprune.search.context import SearchContext


def explain_best(context: SearchContext, rows: Sequence[dict[str, Any]], taking_part: Sequence[Contender]) -> None:
    """Emit a sentence about the finalist that the search put first, as the conclusion does, where there is a model to
    ask.

    `rows`: those of the confirmation. A limit that was reached, or an endpoint that is down, costs the sentence, not
    the end of the run.
    """
    finalists = [row for row in rows if row["kind"] == "candidate" and row["report"] is not None]
    if not finalists:
        return
    name = min(finalists, key=lambda row: row["search"])["candidate"]
    slot = next(contender.slot for contender in taking_part if contender.candidate == name)
    proposal = context.archive.proposal(slot)
    try:
        told = context.analyst.explain(slot, proposal.thought if proposal else {}, context.run.source(name))
    except BudgetSpent:
        return
    except (ChatError, RunPaused) as problem:
        context.events.emit("notice", "explaining", text=f"nobody puts the best candidate into words: {problem}")
        return
    if told is not None:
        text, by = told
        facts = {"slot": slot, "candidate": name, "text": text, "by": by}
        context.events.emit("explained", "explained", **facts)
