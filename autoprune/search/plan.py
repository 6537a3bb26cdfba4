"""The node `plan`: checks the budget, then assigns operator, engine and parents to the next generation's slots."""

import math
from collections.abc import Sequence
from random import Random
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Send

from autoprune.agents.niche import niche_of
from autoprune.agents.population import ELITE, Algorithm, Population, is_seed
from autoprune.agents.proposer import Left, SlotPlan
from autoprune.config_sections import SearchSettings
from autoprune.config_values import NOT_DRAWN, WITHOUT_MODEL, Operator
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.names import SlotId, generation_of
from autoprune.search.ablating import with_ablation
from autoprune.search.bandit import PARENTS, Trial, choose_from_cells, choose_operator, choose_parents, choose_sections
from autoprune.search.context import SearchContext
from autoprune.search.finishing import last_plans
from autoprune.search.improving import Improvements, improvements
from autoprune.search.islands import able_on_island
from autoprune.search.models import costs, with_models
from autoprune.search.observe import observe
from autoprune.search.state import SearchState

OPEN_SLOT = 3
"""Every OPEN_SLOT-th slot may take a strong model's parents from beyond the elite."""
NEAR = 1.15
"""Largest perplexity of a strong model's parent relative to the best."""


def plan(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """The next generation's plans, or the reason to stop."""
    context = runtime.context
    spent = context.spent()
    context.events.emit("spent", **vars(spent), **costs(context))
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
    better = improvements(context, population, generation)
    plans = [
        _plan_slot(context, population, generation, place, done + place, left, better) for place in range(1, slots + 1)
    ]
    if context.briefing:
        plans = with_ablation(context, population, plans)
    plans = with_models(context, generation, plans)
    facts = [{key: value for key, value in plan.items() if key != "left"} for plan in plans]
    context.events.emit("planned", f"planned/{generation}", generation=generation, slots=facts)
    return {"generation": generation, "plans": plans, "deepened": False, "polished": False}


def dispatch(state: SearchState) -> list[Send] | str:
    """One subgraph for each plan; without plans the search goes to its confirmation."""
    if not state["plans"]:
        return "confirm"
    return [Send("candidate", {"plan": plan, "revision": 0, "comments": []}) for plan in state["plans"]]


def _plan_slot(
    context: SearchContext,
    population: Population,
    generation: int,
    place: int,
    number: int,
    left: Left,
    better: Improvements,
) -> SlotPlan:
    random = context.random(generation, place, "plan")
    engine = _engine(context, number)
    drawable = drawable_operators(context, str(SlotId(generation, place)), engine, better)
    if engine == "llm" and context.briefing:
        return _plan_strong(context, population, generation, place, random, left, better, drawable)
    able = population.ranked()
    if engine == "symbolic":
        able = able_on_island(able, place, generation, context.config.search.structure is not None)
    failed = [] if engine == "symbolic" else population.failed()
    trials = _trials(context, generation)
    settings = context.config.agents
    operator = choose_operator(trials, len(able), len(failed), random, drawable)
    if improving := better.take(operator, generation, place):
        return improving
    plan: SlotPlan = {
        "slot": str(SlotId(generation, place)),
        "generation": generation,
        "operator": operator,
        "engine": engine,
        "parents": _parents(operator, able, failed, random, settings.parents),
    }
    if engine == "llm" and settings.sections == "bandit" and settings.gcot in ("full", "no-credit"):
        plan["sections"] = choose_sections(trials, context.random(generation, place, "sections"))
    return plan


def drawable_operators(context: SearchContext, slot: str, engine: str, better: Improvements) -> list[Operator]:
    """The operators that a slot may draw.

    In a replay a slot of the model with a recorded reply keeps it, and one without draws what needs none, if anything.
    """
    allowed = [name for name in context.config.agents.operators or PARENTS if name not in NOT_DRAWN]
    alone = [name for name in allowed if name in better.plans]
    others = [name for name in allowed if name not in WITHOUT_MODEL]
    if context.config.search.structure is not None:
        others = [name for name in others if name != "allocation"]  # uniform shapes leave nothing to allocate
    if engine == "llm" and context.recorded is not None:
        return others if slot in context.recorded else alone or others
    return others + alone


def _plan_strong(
    context: SearchContext,
    population: Population,
    generation: int,
    place: int,
    random: Random,
    left: Left,
    better: Improvements,
    drawable: Sequence[Operator],
) -> SlotPlan:
    """A strong model starts without parents, then builds on the best candidates; its prompt shows all others."""
    settings = context.config.agents
    able = near([algorithm for algorithm in population.ranked() if not is_seed(algorithm.name)])
    failed = [algorithm for algorithm in population.failed() if generation_of(algorithm.name) == generation - 1]
    allowed: Sequence[str] = [operator for operator in drawable if operator != "initialise"]
    if not able:
        allowed = ["repair"] if failed and "repair" in allowed else ["initialise"]
    if settings.parents == "rank" and place % OPEN_SLOT:
        able = able[:ELITE]
    operator = choose_operator(_trials(context, generation), len(able), len(failed), random, allowed)
    if improving := better.take(operator, generation, place):
        return improving
    return {
        "slot": str(SlotId(generation, place)),
        "generation": generation,
        "operator": operator,
        "engine": "llm",
        "parents": _parents(operator, able, failed, random, settings.parents),
        "left": left,
    }


def near(ranked: list[Algorithm]) -> list[Algorithm]:
    """The measured algorithms within NEAR of the best one, in the same order."""
    best = min((algorithm.perplexity for algorithm in ranked if algorithm.perplexity is not None), default=math.inf)
    return [
        algorithm for algorithm in ranked if algorithm.perplexity is not None and algorithm.perplexity <= NEAR * best
    ]


def _parents(
    operator: Operator,
    able: list[Algorithm],
    failed: list[Algorithm],
    random: Random,
    by: Literal["rank", "random", "map"],
) -> list[str]:
    if operator == "repair":
        return [failed[0].name]
    count = PARENTS[operator]
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

    `first`: the first generation is the symbolic engine's as far as its share allows, since a local model may need
    minutes for its first proposal.
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
