"""The node `plan`: asks the budget, then gives each slot of the next generation an operator, an engine and parents."""

from random import Random
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Send

from autoprune.agents.bandit import PARENTS, Trial, choose_from_cells, choose_operator, choose_parents, choose_sections
from autoprune.agents.cells import cell_of
from autoprune.agents.crew import Crew
from autoprune.agents.ending import last_plans
from autoprune.agents.islands import able_on_island
from autoprune.agents.population import Algorithm, Population
from autoprune.agents.state import Plan, SearchState
from autoprune.runs.archive import Outcome, Proposal


def plan(state: SearchState, runtime: Runtime[Crew]) -> SearchState:
    """The next generation's plans, or the reason to stop."""
    crew = runtime.context
    spent = crew.spent()
    crew.events.emit("spent", **vars(spent), agents=crew.costs())
    stop = crew.unrecorded() or crew.budget.stop(spent)
    generation = state.get("generation", 0) + 1
    if stop:
        last = last_plans(crew, state, generation)
        if not last["plans"]:
            return {"stop": stop, **last}
        crew.events.emit("planned", f"planned/{generation}", generation=generation, slots=last["plans"])
        return {"stop": stop, "generation": generation, **last}
    done = state.get("ended", 0)
    population = crew.population(before=generation)
    slots = min(crew.config.search.generation_size, crew.config.search.max_candidates - done)
    plans = [_plan_slot(crew, population, generation, place, done + place) for place in range(1, slots + 1)]
    crew.events.emit("planned", f"planned/{generation}", generation=generation, slots=plans)
    return {"generation": generation, "plans": plans, "deepened": False}


def dispatch(state: SearchState) -> list[Send] | str:
    """One subgraph for each plan; without plans the search is over."""
    if not state["plans"]:
        return "confirm"
    return [Send("candidate", {"plan": plan, "revision": 0, "comments": []}) for plan in state["plans"]]


def _plan_slot(crew: Crew, population: Population, generation: int, place: int, number: int) -> Plan:
    random = crew.random(generation, place, "plan")
    engine = _engine(crew, number)
    able = population.ranked()
    if engine == "symbolic":
        able = able_on_island(able, place, generation, crew.config.search)
    failed = [] if engine == "symbolic" else population.failed()
    trials = _trials(crew, generation)
    operator = choose_operator(trials, len(able), len(failed), random, crew.config.agents.operators)
    if operator == "repair":
        parents = [failed[0].name]
    else:
        parents = _parents(able, PARENTS[operator], random, crew.config.agents.parents)
    slot = f"g{generation}.c{place}"
    plan: Plan = {
        "slot": slot,
        "generation": generation,
        "operator": operator,
        "engine": engine,
        "parents": parents,
    }
    settings = crew.config.agents
    if engine == "llm" and settings.sections == "bandit" and settings.gcot in ("full", "no-credit"):
        plan["sections"] = choose_sections(trials, crew.random(generation, place, "sections"))
    return plan


def _parents(able: list[Algorithm], count: int, random: Random, by: Literal["rank", "random", "map"]) -> list[str]:
    if by == "map":
        return choose_from_cells({algorithm.name: cell_of(algorithm.source) for algorithm in able}, count, random)
    return choose_parents([algorithm.name for algorithm in able], count, random, by)


def _engine(crew: Crew, number: int) -> str:
    """Spread the symbolic engine's share evenly over the run: the n-th candidate is its own when the share fills up."""
    if "llm" not in crew.proposers:
        return "symbolic"
    share = crew.config.agents.symbolic_share
    return "symbolic" if int(number * share) > int((number - 1) * share) else "llm"


def _trials(crew: Crew, generation: int) -> list[Trial]:
    proposals = {proposal.slot: proposal for proposal in crew.archive.proposals()}
    return [
        _trial(proposals[outcome.slot], outcome)
        for outcome in crew.archive.outcomes()
        if outcome.generation < generation and outcome.slot in proposals
    ]


def _trial(proposal: Proposal, outcome: Outcome) -> Trial:
    sections = None if proposal.sections is None else frozenset(proposal.sections)
    return Trial(proposal.operator, outcome.data.get("gain", 0.0) > 0, sections)


def parents_of(plan: Plan, population: Population) -> list[Algorithm]:
    """The algorithms that a plan names."""
    return [population.named(name) for name in plan["parents"]]
