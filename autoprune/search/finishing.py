"""The last generations of a search: what is done for its best candidates once a limit has been reached."""

from autoprune.agents.polisher import ENGINE, OPERATOR
from autoprune.agents.population import Algorithm, Population, is_seed
from autoprune.agents.proposer import SlotPlan
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.proposer import DEEPEN
from autoprune.runs.names import SlotId
from autoprune.search.context import SearchContext
from autoprune.search.state import SearchState

OPERATORS = frozenset({DEEPEN, OPERATOR})
"""Those of these generations. Their candidates are made without a chat model, and judged without one past a limit."""


def last_plans(context: SearchContext, state: SearchState, generation: int) -> SearchState:
    """The plans of one more generation, and that there has been one of its kind; without plans all is done."""
    population = context.population(before=generation)
    if not state.get("deepened") and (plans := _deepen(context, population, generation)):
        return {"plans": plans, "deepened": True}
    if not state.get("polished") and (plans := _polish(context, population, generation)):
        return {"plans": plans, "polished": True}
    return {"plans": []}


def _deepen(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot for each of the best candidates that can have more exchanges; none where a chat model is to be alone."""
    if "llm" in context.proposers and context.config.agents.symbolic_share == 0:
        return []
    chosen = shallow(population)[: context.config.advanced.deepen]
    return [_plan(generation, place, DEEPEN, "symbolic", each) for place, each in enumerate(chosen, 1)]


def shallow(population: Population) -> list[Algorithm]:
    """Candidates that could have more rounds of exchanges, best first, without those of which that has been tried."""
    known = {algorithm.source for algorithm in population.algorithms}
    deep = [(each, Individual.of(each.thought, each.source).deepened()) for each in _best(population)]
    return [each for each, more in deep if more is not None and more.source not in known]


def _polish(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot, in which the best candidate's allocation is improved, if that is wanted and there is one."""
    best = _best(population)[: 1 if context.config.advanced.polish else 0]
    return [_plan(generation, 1, OPERATOR, ENGINE, each) for each in best]


def _best(population: Population) -> list[Algorithm]:
    return [each for each in population.ranked() if not is_seed(each.name)]


def _plan(generation: int, place: int, operator: str, engine: str, parent: Algorithm) -> SlotPlan:
    slot = str(SlotId(generation, place))
    return {"slot": slot, "generation": generation, "operator": operator, "engine": engine, "parents": [parent.name]}
