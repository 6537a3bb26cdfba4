"""What was found, in plain words: the analyst's model reads the best candidate's source once, at the end."""

from collections.abc import Sequence
from typing import Any

from autoprune.agents.budget import BudgetSpent
from autoprune.agents.crew import Crew


def explain_best(crew: Crew, rows: Sequence[dict[str, Any]]) -> None:
    """Emit a sentence about the finalist that did best on the report split, where there is a model to ask.

    `rows`: those of the confirmation. A limit that was reached costs the sentence, not the end of the run.
    """
    finalists = [row for row in rows if row["kind"] == "candidate" and row["report"] is not None]
    if not finalists:
        return
    name = min(finalists, key=lambda row: row["report"])["candidate"]
    proposal = next(each for each in reversed(crew.archive.proposals()) if each.candidate == name)
    try:
        told = crew.analyst.explain(proposal.slot, proposal.thought, crew.run.source(name))
    except BudgetSpent:
        return
    if told is not None:
        text, by = told
        facts = {"slot": proposal.slot, "candidate": name, "text": text, "by": by}
        crew.events.emit("explained", "explained", **facts)
