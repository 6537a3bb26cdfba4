"""The last generations of a search, which improve its best candidates once a limit has been reached."""

from autoprune.agents.polisher import ENGINE, OPERATOR
from autoprune.agents.population import Algorithm, Population, is_seed
from autoprune.agents.proposer import SlotPlan
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.proposer import DEEPEN
from autoprune.runs.names import SlotId
from autoprune.search.context import SearchContext
from autoprune.search.state import SearchState

OPERATORS = frozenset({DEEPEN, OPERATOR})
"""Operators of these generations, which need no chat model, not even for the review once a limit has been reached."""


def last_plans(context: SearchContext, state: SearchState, generation: int) -> SearchState:
    """The plans of one more generation, marked as done in the state; without plans the search is over."""
    population = context.population(before=generation)
    if not state.get("deepened") and (plans := _deepen(context, population, generation)):
        return {"plans": plans, "deepened": True}
    if not state.get("polished") and (plans := _polish(context, population, generation)):
        return {"plans": plans, "polished": True}
    return {"plans": []}


def _deepen(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot for each of the best candidates that can have more exchanges; none if the symbolic engine is off."""
    if "llm" in context.proposers and context.config.agents.symbolic_share == 0:
        return []
    chosen = shallow(population)[: context.config.advanced.deepen]
    return [_plan(generation, place, DEEPEN, "symbolic", parent) for place, parent in enumerate(chosen, 1)]


def shallow(population: Population) -> list[Algorithm]:
    """Candidates that can have more rounds of exchanges, best first, unless that has been tried."""
    sources = {algorithm.source for algorithm in population.algorithms}
    best = [(algorithm, Individual.of(algorithm.thought, algorithm.source)) for algorithm in _best(population)]
    deepened = [(algorithm, individual.deepened()) for algorithm, individual in best]
    return [algorithm for algorithm, deep in deepened if deep is not None and deep.source not in sources]


def _polish(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot that polishes the best candidate's allocation, if the settings ask for it and there is a candidate."""
    best = _best(population)[: 1 if context.config.advanced.polish else 0]
    return [_plan(generation, 1, OPERATOR, ENGINE, parent) for parent in best]


def _best(population: Population) -> list[Algorithm]:
    return [algorithm for algorithm in population.ranked() if not is_seed(algorithm.name)]


def _plan(generation: int, place: int, operator: str, engine: str, parent: Algorithm) -> SlotPlan:
    slot = str(SlotId(generation, place))
    return {"slot": slot, "generation": generation, "operator": operator, "engine": engine, "parents": [parent.name]}
