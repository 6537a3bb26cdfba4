"""What a candidate is compared with: the candidates of earlier generations, the baselines, and its parents.

Siblings of its generation are excluded, since the order in which they end is random.
"""

import math
from collections.abc import Iterable
from typing import Any

from autoprune.agents.population import ELITE, Algorithm, is_seed
from autoprune.agents.proposer import SlotPlan
from autoprune.candidates.contract import league_of
from autoprune.config_values import WITHOUT_MODEL
from autoprune.gcot.belief import paired_error
from autoprune.leagues import COMPENSATED, STRUCTURED
from autoprune.runs.measurement import Measurement
from autoprune.search.context import SearchContext
from autoprune.search.plan import parents_of
from autoprune.tools.evaluate import CandidateReport

IMPROVED = ("deepen", "polish")
"""Operators whose candidates have more rounds, or an allocation by trials."""


def measured_before(context: SearchContext, plan: SlotPlan) -> dict[str, float]:
    """Candidate -> perplexity, for earlier generations, oldest first."""
    return {
        outcome.candidate: outcome.data["perplexity"]
        for outcome in context.archive.outcomes()
        if outcome.generation < plan["generation"] and outcome.status == "measured" and outcome.candidate
    }


def of_same_league(context: SearchContext, earlier: dict[str, float], name: str) -> dict[str, float]:
    """Those of the earlier candidates that update kept weights if the candidate does, and else those that do not."""
    league = league_of(context.run.source(name))
    if league in (STRUCTURED, COMPENSATED):  # those without an update are compensated as the search says
        return earlier
    return {other: value for other, value in earlier.items() if league_of(context.run.source(other)) == league}


def as_raw(context: SearchContext, plan: SlotPlan, earlier: dict[str, float]) -> dict[str, float]:
    """The earlier candidates that a new one is stopped against: without those that took many trials or rounds, unless
    it did too, since a new algorithm can be polished later."""
    if plan["operator"] in WITHOUT_MODEL:
        return earlier
    improved = {proposal.candidate for proposal in context.archive.proposals() if proposal.operator in IMPROVED}
    return {name: perplexity for name, perplexity in earlier.items() if name not in improved}


def masks_before(context: SearchContext, earlier: Iterable[str], name: str) -> list[str]:
    """The subjects whose masks a candidate must differ from: baselines and earlier candidates."""
    baselines = [subject for subject in context.archive.subjects("search") if subject.startswith("baseline:")]
    return [subject for subject in (*baselines, *earlier) if subject != name]


def elite(finalists: int, earlier: dict[str, float], seeds: dict[str, float]) -> list[str]:
    """The best candidates so far, best first, with published scores if there are too few candidates.

    It has at least `finalists` members, so that early stopping loses no finalist, except at the race's error rate.
    """
    size = max(ELITE, finalists)
    perplexities = earlier if len(earlier) >= size else seeds | earlier
    return sorted(perplexities, key=lambda name: (perplexities[name], name))[:size]


def contrast(context: SearchContext, plan: SlotPlan, report: CandidateReport) -> dict[str, Any]:
    """`gain`: log(best parent's perplexity / the candidate's), an estimate if the candidate was stopped early;
    `gain_error`: its standard error over paired windows, if both have enough; `against`: the parent, if there is one.

    Without a measured parent, the reference is the best algorithm before it, and for a strong model, whose prompt holds
    all baselines, the best baseline. Empty if the candidate has no perplexity.
    """
    perplexity = report.perplexity if report.status == "measured" else report.estimated_perplexity
    if perplexity is None:
        return {}
    population = context.population(plan["generation"])
    parents = [parent for parent in parents_of(plan, population) if parent.perplexity is not None]
    if parents or context.briefing is None:
        reference = (parents and best_of(parents)) or population.ranked()[0]
        row, best = _row(context, reference), reference.perplexity
    else:
        row = min(context.briefing.baselines(), key=lambda baseline: baseline.perplexity)
        best = row.perplexity
    assert best is not None  # both were chosen among the measured
    own = context.workbench.recorded(report.candidate, "search") if report.status == "measured" else None
    error = paired_error(row.window_losses, own.window_losses) if row is not None and own is not None else None
    against = best_of(parents).name if parents else None
    return {"gain": math.log(best / perplexity), "gain_error": error, "against": against}


def best_of(measured: list[Algorithm]) -> Algorithm:
    """The one with the lowest perplexity, of some that have one."""
    return min(measured, key=lambda algorithm: algorithm.perplexity or math.inf)


def _row(context: SearchContext, algorithm: Algorithm) -> Measurement | None:
    """The measurement of an individual on the search split."""
    if is_seed(algorithm.name):
        return context.seeds().get(algorithm.title)
    outcomes = {outcome.slot: outcome.candidate for outcome in context.archive.outcomes()}
    candidate = outcomes.get(algorithm.name)
    return context.workbench.recorded(candidate, "search") if candidate else None
