"""What a candidate is held against: the candidates of earlier generations, the baselines, and its parents.

Siblings of its generation are left out, for the order in which they end is chance.
"""

import math
from collections.abc import Iterable

from autoprune.agents.population import ELITE
from autoprune.agents.proposer import SlotPlan
from autoprune.search.context import SearchContext
from autoprune.search.plan import parents_of
from autoprune.tools.evaluate import CandidateReport


def measured_before(context: SearchContext, plan: SlotPlan) -> dict[str, float]:
    """Candidates of earlier generations with their perplexities, the oldest first."""
    return {
        outcome.candidate: outcome.data["perplexity"]
        for outcome in context.archive.outcomes()
        if outcome.generation < plan["generation"] and outcome.status == "measured" and outcome.candidate
    }


def masks_before(context: SearchContext, earlier: Iterable[str], name: str) -> list[str]:
    """The subjects whose masks a candidate must differ from: baselines, and candidates of earlier generations."""
    baselines = [subject for subject in context.archive.subjects("search") if subject.startswith("baseline:")]
    return [subject for subject in (*baselines, *earlier) if subject != name]


def elite(finalists: int, earlier: dict[str, float], seeds: dict[str, float]) -> list[str]:
    """The best candidates so far, best first; while there are fewer than belong to it, published scores fill it up.

    Finalists are of the elite, so that none is lost by stopping early, but for the error rate of the race.
    """
    size = max(ELITE, finalists)
    known = earlier if len(earlier) >= size else seeds | earlier
    return sorted(known, key=lambda name: (known[name], name))[:size]


def gain(context: SearchContext, plan: SlotPlan, report: CandidateReport) -> float | None:
    """log(best parent's perplexity / the candidate's); without a measured parent, the best seed stands in, and for a
    strong model, which is told of all baselines, the best of these.

    Of a candidate that was stopped it is an estimate, since its perplexity is.
    """
    perplexity = report.perplexity if report.status == "measured" else report.estimated_perplexity
    if perplexity is None:
        return None
    population = context.population(plan["generation"])
    parents = [parent for parent in parents_of(plan, population) if parent.perplexity is not None]
    known = [each.perplexity for each in parents or population.ranked() if each.perplexity is not None]
    if context.briefing is not None and not parents:
        known = [row.perplexity for row in context.briefing.baselines()] or known
    return math.log(min(known) / perplexity)
