"""Operators that improve measured candidates without a model, by any proposer: recombine, deepen, polish.

Any slot can draw them, and the end of a search gives the last two to its best candidates (`finishing.py`). Each is
drawn at most once a generation and once in EVERY candidates, and never twice for the same candidate: they nearly always
gain a little and would soon take all slots. The first EVERY candidates are soon overtaken, so none of them is improved
before others were tried.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from autoprune.agents.deepening import deepened, more_rounds, source_of
from autoprune.agents.population import ELITE, Algorithm, Population, is_seed
from autoprune.agents.proposer import SlotPlan
from autoprune.agents.recombiner import untried_donors
from autoprune.agents.trial_proposer import ENGINE
from autoprune.config_values import Operator
from autoprune.runs.names import SlotId
from autoprune.search.context import SearchContext

EVERY = 10
DONORS = 3
"""Candidates whose allocations are compared for one algorithm."""


@dataclass
class Improvements:
    """Operators that the slots of one generation can draw, each with the plan that carries it out."""

    plans: dict[Operator, SlotPlan] = field(default_factory=dict)

    def take(self, operator: Operator, generation: int, place: int) -> SlotPlan | None:
        """The plan of a slot that has drawn an operator, which no later slot can draw; None for another operator."""
        plan = self.plans.pop(operator, None)
        return None if plan is None else {**plan, "slot": str(SlotId(generation, place))}


def improvements(context: SearchContext, population: Population, generation: int) -> Improvements:
    """Those that can be drawn: on the best candidates of earlier generations, as long as they are new."""
    proposals = {each.slot: each for each in context.archive.proposals() if each.generation < generation}
    times = Counter(proposal.operator for proposal in proposals.values())
    ended = sum(outcome.generation < generation for outcome in context.archive.outcomes())
    plans: dict[Operator, SlotPlan] = {}
    if context.config.search.structure is not None:  # formulas and code for single weights are improved
        return Improvements(plans)
    for operator, find in FINDERS.items():
        is_allowed = operator in (context.config.agents.operators or FINDERS)
        if is_allowed and (times[operator] + 1) * EVERY <= ended and (plan := find(context, population, generation)):
            plans[operator] = plan
    return Improvements(plans)


def best_of(population: Population) -> list[Algorithm]:
    """Measured candidates, best first, without the published scores."""
    return [algorithm for algorithm in population.ranked() if not is_seed(algorithm.name)]


def polishing(context: SearchContext, population: Population, generation: int) -> SlotPlan | None:
    """The best of the elite that was not polished."""
    if not can_polish(context):
        return None
    done = _done_with(context, "polish", generation)
    able = [algorithm for algorithm in best_of(population)[:ELITE] if algorithm.name not in done]
    return plan_of(generation, "polish", ENGINE, able[:1]) if able else None


def can_polish(context: SearchContext) -> bool:
    """Whether allocations are polished: by the settings, and on a target that is not loaded anew for each trial."""
    return bool(context.config.advanced.polish) and not context.workbench.bench.target.offloaded


def deepening(context: SearchContext, population: Population, generation: int) -> SlotPlan | None:
    """The best of the elite that can have more rounds."""
    if not context.config.advanced.deepen:
        return None
    plans = deeper(context, population, best_of(population)[:ELITE], generation, last=False)
    return plans[0] if plans else None


def recombining(context: SearchContext, population: Population, generation: int) -> SlotPlan | None:
    """The best candidate that was not tried with the allocations of the best others, and these."""
    best, most = best_of(population), 1 if context.workbench.bench.target.offloaded else DONORS
    sources = [algorithm.source for algorithm in population.algorithms]
    for algorithm in best[: ELITE + 1]:
        others = [other for other in best if other is not algorithm]
        if names := untried_donors(algorithm, others, sources, most):
            return plan_of(generation, "recombine", ENGINE, [algorithm, *map(population.named, names)])
    return None


def deeper(
    context: SearchContext, population: Population, algorithms: list[Algorithm], generation: int, last: bool
) -> list[SlotPlan]:
    """A plan for each of these candidates that can have more rounds, unless that has been tried."""
    known = {algorithm.source for algorithm in population.algorithms}
    limit = context.config.sandbox.seconds
    plans = []
    for algorithm in algorithms:
        rounds = more_rounds(algorithm, _seconds(context, algorithm), limit, _has_engine(context), last)
        if rounds is not None and source_of(deepened(algorithm, rounds)) not in known:
            plans.append(plan_of(generation, "deepen", "symbolic", [algorithm]) | {"rounds": rounds})
    return plans


def plan_of(generation: int, operator: Operator, engine: str, parents: list[Algorithm]) -> SlotPlan:
    """A plan whose slot is the first of the generation."""
    return {
        "slot": str(SlotId(generation, 1)),
        "generation": generation,
        "operator": operator,
        "engine": engine,
        "parents": [parent.name for parent in parents],
    }


def _done_with(context: SearchContext, operator: str, before: int) -> set[str]:
    """The candidates that an operator has improved or made in the generations before one."""
    earlier = [proposal for proposal in context.archive.proposals() if proposal.generation < before]
    done = [proposal for proposal in earlier if proposal.operator == operator]
    return {name for proposal in done for name in (proposal.slot, *proposal.parents)}


def _seconds(context: SearchContext, algorithm: Algorithm) -> float | None:
    """What a candidate took of its time when it was measured."""
    data = next((each.data for each in context.archive.outcomes() if each.slot == algorithm.name), {})
    seconds: float | None = data.get("seconds", {}).get("score")
    return seconds


def _has_engine(context: SearchContext) -> bool:
    """Whether the symbolic engine may propose: beside a chat model that is to be alone it may not."""
    return "llm" not in context.proposers or context.config.agents.symbolic_share > 0


Find = Callable[[SearchContext, Population, int], SlotPlan | None]
FINDERS: dict[Operator, Find] = {"recombine": recombining, "deepen": deepening, "polish": polishing}
