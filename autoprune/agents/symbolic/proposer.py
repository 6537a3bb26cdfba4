"""The proposer by rules: applies the bandit's operators to expressions and allocations."""

from random import Random
from typing import Any

from autoprune.agents.deepening import ALL_EXCHANGES, Rounds, deepened
from autoprune.agents.proposer import Draft, Request, same_formula
from autoprune.agents.symbolic import allocation, variation
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.probes import fingerprint
from autoprune.mathematics import OTHER, formula
from autoprune.pruning.published import Expression

GROUP_FLIP = 0.15
OWN_ALLOCATION = 0.35
"""How often a new formula gets an allocation of its own."""
TRIES = 30
_WHY = {
    "initialise": "a weight term times an input term is the family of the published scores",
    "explore": "a formula unlike all before it may show what the family lacks",
    "structure": "one changed part of a good formula tests what that part is worth",
    "constants": "the exponents of a good formula were guessed, so another value may fit better",
    "simplify": "a part that can be dropped without harm was noise",
    "cross": "two good formulas may hold parts that add up",
    "deepen": "more rounds make no mask worse, and what won with few of them or none has more to gain",
    "allocation": "a good score may be spread badly: some depths and roles bear more sparsity than others",
}


class SymbolicProposer:
    """Deterministic in the request's seed. Needs no language model; revises by drawing again.

    It also draws again when a known algorithm ranks all weights alike (`probes.py`) with the same allocation.
    """

    def propose(self, request: Request) -> Draft:
        if request.plan["operator"] == "deepen":
            return _deepened(request)
        random = Random(f"{request.seed}/{request.plan['slot']}/{request.revision}")
        known_keys = {_key(Individual.of(algorithm.thought, algorithm.source)) for algorithm in request.known}
        drawn = self._vary(request, random)
        for _ in range(TRIES):
            key = _key(drawn)
            if key and key not in known_keys and drawn.source != request.previous:
                break
            drawn = self._vary(request, random)
        return _draft(drawn, request.plan["operator"])

    def _vary(self, request: Request, random: Random) -> Individual:
        parents = [Individual.of(parent.thought, parent.source) for parent in request.parents]
        if not parents or request.plan["operator"] in ("initialise", "explore"):
            draw = variation.explore if request.plan["operator"] == "explore" else variation.initialise
            spread = allocation.draw(random) if random.random() < OWN_ALLOCATION else None
            return Individual(draw(random), "matrix" if random.random() < GROUP_FLIP else "row", spread)
        first = parents[0]
        if request.plan["operator"] == "allocation":
            return Individual(first.expression, first.group, allocation.mutate(first.allocation, random))
        group, spread = first.group, first.allocation
        if random.random() < GROUP_FLIP:
            group = "row" if group == "matrix" else "matrix"
        if len(parents) > 1 and random.random() < 0.5:
            spread = parents[1].allocation
        return Individual(_changed(request.plan["operator"], parents, random), group, spread)


def _draft(drawn: Individual, operator: str) -> Draft:
    scoring, spread = formula(drawn.expression), allocation.words(drawn.allocation)
    if OTHER in scoring:
        scoring += f", where {OTHER} is another candidate's score"
    thought: dict[str, Any] = {
        "idea": f"{scoring}, compared within each {drawn.group}" + (f"; {spread}" * bool(spread)),
        "why": _WHY[operator],
        "expected": "better",
        "builds_on": [],
        "expression": drawn.expression,
        "allocation": drawn.allocation,
    }
    return Draft(thought, drawn.source)


def _deepened(request: Request) -> Draft:
    """The parent with more rounds; the same for a revision."""
    parent = request.parents[0]
    rounds = request.plan.get("rounds") or Rounds(of="exchanges", factor=ALL_EXCHANGES)  # plans of older versions
    deep = deepened(parent, rounds)
    if isinstance(deep, Individual):
        return _draft(deep, "deepen")
    idea = f"the algorithm of {parent.name} with {rounds['factor']} times its rounds"
    thought = {"idea": idea, "why": _WHY["deepen"], "expected": "better", "builds_on": []}
    thought |= same_formula(parent.thought)
    return Draft(thought, deep, "" if deep else f"{parent.name} has no rounds to raise")


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
