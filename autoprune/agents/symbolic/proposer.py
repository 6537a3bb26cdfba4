"""The proposer by rules: applies the bandit's operators to expressions and allocations."""

from random import Random
from typing import Any

from autoprune.agents.proposer import Draft, Request
from autoprune.agents.symbolic import allocation, variation
from autoprune.agents.symbolic.expression import formula
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.probes import fingerprint
from autoprune.pruning.published import Expression

GROUP_FLIP = 0.15
OWN_ALLOCATION = 0.35
"""How often a new formula gets an allocation of its own."""
TRIES = 30
DEEPEN = "deepen"
"""An operator that is only used at the end of a search (`search/finishing.py`)."""
_WHY = {
    "initialise": "a weight term times an input term is the family of the published scores",
    "explore": "a formula unlike all before it may show what the family lacks",
    "structure": "one changed part of a good formula tests what that part is worth",
    "constants": "the exponents of a good formula were guessed, so another value may fit better",
    "simplify": "a part that can be dropped without harm was noise",
    "cross": "two good formulas may hold parts that add up",
    DEEPEN: "exchanges make no mask worse, and what won with few rounds of them or none has more to gain",
    "allocation": "a good score may be spread badly: some depths and roles bear more sparsity than others",
}


class SymbolicProposer:
    """Deterministic in the request's seed. Needs no language model; revises by drawing again.

    It also draws again when a known algorithm ranks all weights alike (`probes.py`) with the same allocation.
    """

    def propose(self, request: Request) -> Draft:
        random = Random(f"{request.seed}/{request.plan['slot']}/{request.revision}")
        known_keys = {_key(Individual.of(algorithm.thought, algorithm.source)) for algorithm in request.known}
        drawn = self._vary(request, random)
        for _ in range(TRIES):
            key = _key(drawn)
            if key and key not in known_keys and drawn.source != request.previous:
                break
            drawn = self._vary(request, random)
        spread = allocation.words(drawn.allocation)
        thought: dict[str, Any] = {
            "idea": f"{formula(drawn.expression)}, compared within each {drawn.group}" + (f"; {spread}" * bool(spread)),
            "why": _WHY[request.plan["operator"]],
            "expected": "better",
            "builds_on": [],
            "expression": drawn.expression,
            "allocation": drawn.allocation,
        }
        return Draft(thought, drawn.source)

    def _vary(self, request: Request, random: Random) -> Individual:
        parents = [Individual.of(parent.thought, parent.source) for parent in request.parents]
        if not parents or request.plan["operator"] in ("initialise", "explore"):
            draw = variation.explore if request.plan["operator"] == "explore" else variation.initialise
            spread = allocation.draw(random) if random.random() < OWN_ALLOCATION else None
            return Individual(draw(random), "matrix" if random.random() < GROUP_FLIP else "row", spread)
        first = parents[0]
        if request.plan["operator"] == DEEPEN:
            return first.deepened() or first
        if request.plan["operator"] == "allocation":
            return Individual(first.expression, first.group, allocation.mutate(first.allocation, random))
        group, spread = first.group, first.allocation
        if random.random() < GROUP_FLIP:
            group = "row" if group == "matrix" else "matrix"
        if len(parents) > 1 and random.random() < 0.5:
            spread = parents[1].allocation
        return Individual(_changed(request.plan["operator"], parents, random), group, spread)


def _changed(operator: str, parents: list[Individual], random: Random) -> Expression:
    tree = parents[0].expression
    match operator:
        case "constants":
            return variation.mutate_constants(tree, random)
        case "simplify":
            return variation.shrink(tree, random)
        case "cross":
            return variation.cross(tree, parents[1].expression, random)
        case _:
            return variation.mutate_structure(tree, random)


def _key(individual: Individual) -> tuple[str, str] | None:
    """Equal for individuals that count as the same; None if a score is not finite on the probes."""
    ranks = fingerprint(individual.expression, individual.group)
    return None if ranks is None else (ranks, str(individual.allocation))
