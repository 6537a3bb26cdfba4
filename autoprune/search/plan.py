"""The node `plan`: asks the budget, then gives each slot of the next generation an operator, an engine and parents."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Send

from autoprune.agents.niche import niche_of
from autoprune.agents.population import ELITE, Algorithm, Population, is_seed
from autoprune.agents.proposer import Left, SlotPlan
from autoprune.config_sections import SearchSettings
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.names import SlotId, generation_of
from autoprune.search.bandit import PARENTS, Trial, choose_from_cells, choose_operator, choose_parents, choose_sections
from autoprune.search.context import SearchContext
from autoprune.search.finishing import last_plans
from autoprune.search.islands import able_on_island
from autoprune.search.observe import observe
from autoprune.search.state import SearchState

OPEN_SLOT = 3
"""Every so many slots may take a strong model's parents from beyond the elite."""
NEAR = 1.15
"""How many times the best perplexity such a parent has at most."""


def plan(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """The next generation's plans, or the reason to stop."""
    context = runtime.context
    spent = context.spent()
    context.events.emit("spent", **vars(spent), agents=context.costs())
    stop = context.unrecorded() or context.budget.stop(spent)
    generation = state.get("generation", 0) + 1
    if stop:
        last = last_plans(context, state, generation)
        if not last["plans"]:
            return {"stop": stop, **last}
        context.events.emit("planned", f"planned/{generation}", generation=generation, slots=last["plans"])
        return {"stop": stop, "generation": generation, **last}
    observe(context)
    done = state.get("ended", 0)
    population = context.population(before=generation)
    settings = context.config.search
    slots = min(settings.generation_size, settings.max_candidates - done)
    minutes = None if settings.max_minutes is None else max(settings.max_minutes - spent.seconds / 60, 0.0)
    left: Left = {"candidates": settings.max_candidates - done, "minutes": minutes}
    plans = [_plan_slot(context, population, generation, place, done + place, left) for place in range(1, slots + 1)]
    context.events.emit(
        "planned", f"planned/{generation}", generation=generation, slots=[_told(each) for each in plans]
    )
    return {"generation": generation, "plans": plans, "deepened": False}


def _told(plan: SlotPlan) -> dict[str, Any]:
    """What of a plan the events say."""
    return {key: value for key, value in plan.items() if key != "left"}


def dispatch(state: SearchState) -> list[Send] | str:
    """One subgraph for each plan; without plans the search is over."""
    if not state["plans"]:
        return "confirm"
    return [Send("candidate", {"plan": plan, "revision": 0, "comments": []}) for plan in state["plans"]]


def _plan_slot(
    context: SearchContext, population: Population, generation: int, place: int, number: int, left: Left
) -> SlotPlan:
    random = context.random(generation, place, "plan")
    engine = _engine(context, number)
    if engine == "llm" and context.briefing:
        return _plan_strong(context, population, generation, place, random, left)
    able = population.ranked()
    if engine == "symbolic":
        able = able_on_island(able, place, generation)
    failed = [] if engine == "symbolic" else population.failed()
    trials = _trials(context, generation)
    operator = choose_operator(trials, len(able), len(failed), random, context.config.agents.operators)
    if operator == "repair":
        parents = [failed[0].name]
    else:
        parents = _parents(able, PARENTS[operator], random, context.config.agents.parents)
    slot = str(SlotId(generation, place))
    plan: SlotPlan = {
        "slot": slot,
        "generation": generation,
        "operator": operator,
        "engine": engine,
        "parents": parents,
    }
    settings = context.config.agents
    if engine == "llm" and settings.sections == "bandit" and settings.gcot in ("full", "no-credit"):
        plan["sections"] = choose_sections(trials, context.random(generation, place, "sections"))
    return plan


def _plan_strong(
    context: SearchContext, population: Population, generation: int, place: int, random: Random, left: Left
) -> SlotPlan:
    """A strong model begins from scratch, then builds on what is best: it sees all the rest anyway."""
    able = [algorithm for algorithm in population.ranked() if not is_seed(algorithm.name)]
    failed = [each for each in population.failed() if generation_of(each.name) == generation - 1]
    settings = context.config.agents
    allowed: Sequence[str] = [each for each in settings.operators or PARENTS if each != "initialise"]
    if not able:
        allowed = [each for each in allowed if failed and each == "repair"] or ["initialise"]
    if settings.parents == "rank":
        able = near(able)[: ELITE if place % OPEN_SLOT else None]
    operator = choose_operator(_trials(context, generation), len(able), len(failed), random, allowed)
    if operator == "repair":
        parents = [failed[0].name]
    else:
        parents = _parents(able, PARENTS[operator], random, settings.parents)
    return {
        "slot": str(SlotId(generation, place)),
        "generation": generation,
        "operator": operator,
        "engine": "llm",
        "parents": parents,
        "left": left,
    }


def near(ranked: list[Algorithm]) -> list[Algorithm]:
    """Of algorithms, the best first, those that are not far worse than the best."""
    best = min((each.perplexity for each in ranked if each.perplexity is not None), default=math.inf)
    return [each for each in ranked if each.perplexity is not None and each.perplexity <= NEAR * best]


def _parents(able: list[Algorithm], count: int, random: Random, by: Literal["rank", "random", "map"]) -> list[str]:
    if by == "map":
        return choose_from_cells({algorithm.name: niche_of(algorithm.source) for algorithm in able}, count, random)
    return choose_parents([algorithm.name for algorithm in able], count, random, by)


def _engine(context: SearchContext, number: int) -> str:
    if "llm" not in context.proposers:
        return "symbolic"
    config = context.config
    first = bool(config.advanced.symbolic_first)
    return "symbolic" if symbolic(number, config.search, config.agents.symbolic_share, first) else "llm"


def symbolic(number: int, settings: SearchSettings, share: float, first: bool) -> bool:
    """Whether the n-th candidate is the symbolic engine's: its share is spread evenly over the run.

    `first`: beside a model that may need minutes for its first proposal, as much of the share as fits into a generation
    comes before all else, so that something is measured soon.
    """
    if first:
        total = int(settings.max_candidates * share)
        ahead = min(settings.generation_size, total)
        if number <= ahead:
            return True
        number, share = number - ahead, (total - ahead) / (settings.max_candidates - ahead)
    return int(number * share) > int((number - 1) * share)


def _trials(context: SearchContext, generation: int) -> list[Trial]:
    proposals = {proposal.slot: proposal for proposal in context.archive.proposals()}
    return [
        _trial(proposals[outcome.slot], outcome)
        for outcome in context.archive.outcomes()
        if outcome.generation < generation and outcome.slot in proposals
    ]


def _trial(proposal: Proposal, outcome: Outcome) -> Trial:
    sections = None if proposal.sections is None else frozenset(proposal.sections)
    return Trial(proposal.operator, outcome.data.get("gain", 0.0) > 0, sections)


def parents_of(plan: SlotPlan, population: Population) -> list[Algorithm]:
    """The algorithms that a plan names."""
    return [population.named(name) for name in plan["parents"]]
