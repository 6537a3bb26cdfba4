"""The last generations of a search, which improve its best candidates once a limit has been reached."""

from autoprune.agents.population import Population
from autoprune.agents.proposer import SlotPlan
from autoprune.agents.trial_proposer import ENGINE
from autoprune.runs.names import SlotId
from autoprune.search.context import SearchContext
from autoprune.search.improving import best_of, can_polish, deeper, plan_of
from autoprune.search.state import SearchState


def last_plans(context: SearchContext, state: SearchState, generation: int) -> SearchState:
    """The plans of one more generation, marked as done in the state; without plans the search is over."""
    if context.config.search.structure is not None:  # neither rounds nor an allocation to improve
        return {"plans": []}
    population = context.population(before=generation)
    if not state.get("deepened") and (plans := _deepen(context, population, generation)):
        return {"plans": plans, "deepened": True}
    if not state.get("polished") and (plans := _polish(context, population, generation)):
        return {"plans": plans, "polished": True}
    return {"plans": []}


def _deepen(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot for each of the best candidates that can have more rounds."""
    plans = deeper(context, population, best_of(population), generation, last=True)
    chosen = plans[: context.config.advanced.deepen]
    return [plan | {"slot": str(SlotId(generation, place))} for place, plan in enumerate(chosen, 1)]


def _polish(context: SearchContext, population: Population, generation: int) -> list[SlotPlan]:
    """One slot that polishes the best candidate's allocation, if the settings ask for it and there is a candidate."""
    best = best_of(population)[: 1 if can_polish(context) else 0]
    return [plan_of(generation, "polish", ENGINE, [parent]) | {"last": True} for parent in best]
