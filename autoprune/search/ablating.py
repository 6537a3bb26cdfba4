"""The operator `ablate`: one slot of a generation measures what one mechanism of a good candidate is worth.

A strong model asks for it by the line ABLATE of a proposal, or the search does, for its best candidate. It improves
nothing, so no slot draws it; its effect is evidence for the reasoning graph.
"""

import re
from collections.abc import Iterator

from autoprune.agents.population import Algorithm, Population
from autoprune.agents.proposer import SlotPlan
from autoprune.runs.archive import Proposal
from autoprune.search.context import SearchContext
from autoprune.search.improving import best_of

OPERATOR = "ablate"
EVERY = 5
"""Generations after which the search itself asks for one, if there was none."""
SHARE = 6
"""Candidates for each ablation at least, however many are asked for: models rarely leave a line empty."""
BY_SEARCH = "the search asks what the mechanism is worth that you expect to matter most"


def with_ablation(context: SearchContext, population: Population, plans: list[SlotPlan]) -> list[SlotPlan]:
    """The plans of a generation, the last of which is an ablation if there is something to ask.

    In a generation of one slot, and in the last one, every slot is needed to improve. A replay keeps its slots.
    """
    last = plans[-1] if plans else None
    operators = context.config.agents.operators
    if last is None or len(plans) < 2 or last["engine"] != "llm" or context.recorded is not None:
        return plans
    if (operators is not None and OPERATOR not in operators) or last["left"]["candidates"] <= len(plans):
        return plans
    earlier = [each for each in context.archive.proposals() if each.generation < last["generation"]]
    ablated = {each.slot for each in earlier if each.operator == OPERATOR}
    if len(ablated) * SHARE > len({each.slot for each in earlier}):
        return plans
    request = next(_requests(earlier, population), None) or _by_search(earlier, population, last["generation"])
    if request is None:
        return plans
    parent, asked = request
    ablation: SlotPlan = {**last, "operator": OPERATOR, "parents": [parent.name], "asked": asked}
    return [*plans[:-1], ablation]


def _requests(earlier: list[Proposal], population: Population) -> Iterator[tuple[Algorithm, str]]:
    """What models asked for and no slot has measured, the latest first: the candidate and the request."""
    measured = {algorithm.name: algorithm for algorithm in best_of(population)}
    done = {proposal.thought.get("asked") for proposal in earlier if proposal.operator == OPERATOR}
    for proposal in reversed(earlier):
        text = str(proposal.thought.get("ablate", ""))
        name = next((name for name in re.findall(r"g\d+\.c\d+", text) if name in measured), None)
        if name is not None and (asked := f"[{proposal.slot}] asks: {text}") not in done:
            yield measured[name], asked


def _by_search(earlier: list[Proposal], population: Population, generation: int) -> tuple[Algorithm, str] | None:
    """The best candidate, unless it was ablated or made by an ablation, or another was a short time ago."""
    ablations = [proposal for proposal in earlier if proposal.operator == OPERATOR]
    if generation - max((each.generation for each in ablations), default=1) < EVERY:
        return None
    known = {name for each in ablations for name in (each.slot, *each.parents)}
    best = next(iter(best_of(population)), None)
    return (best, BY_SEARCH) if best is not None and best.name not in known else None
