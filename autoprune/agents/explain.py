"""What was found, in plain words: the analyst's model reads the best candidate's source once, at the end."""

from collections.abc import Sequence
from typing import Any

from autoprune.agents.budget import BudgetSpent
from autoprune.agents.crew import Crew
from autoprune.agents.entrants import Entrant
from autoprune.errors import ChatError, RunPaused


def explain_best(crew: Crew, rows: Sequence[dict[str, Any]], taking_part: Sequence[Entrant]) -> None:
    """Emit a sentence about the finalist that the search put first, as the conclusion does, where there is a model to
    ask.

    `rows`: those of the confirmation. A limit that was reached, or an endpoint that is down, costs the sentence, not
    the end of the run.
    """
    finalists = [row for row in rows if row["kind"] == "candidate" and row["report"] is not None]
    if not finalists:
        return
    name = min(finalists, key=lambda row: row["search"])["candidate"]
    slot = next(entrant.slot for entrant in taking_part if entrant.candidate == name)
    proposal = crew.archive.proposal(slot)
    try:
        told = crew.analyst.explain(slot, proposal.thought if proposal else {}, crew.run.source(name))
    except BudgetSpent:
        return
    except (ChatError, RunPaused) as problem:
        crew.events.emit("notice", "explaining", text=f"nobody puts the best candidate into words: {problem}")
        return
    if told is not None:
        text, by = told
        facts = {"slot": slot, "candidate": name, "text": text, "by": by}
        crew.events.emit("explained", "explained", **facts)
