"""The proposer by rules: the operators of the bandit, applied to expressions."""

from random import Random
from typing import Any

from autoprune.agents.proposer import Draft, Request
from autoprune.agents.symbolic import variation
from autoprune.agents.symbolic.expression import Expression, formula, freeze, source

GROUP_FLIP = 0.15
_WHY = {
    "initialise": "a weight term times an input term is the family of the published scores",
    "explore": "a formula unlike all before it may show what the family lacks",
    "structure": "one changed part of a good formula tests what that part is worth",
    "constants": "the exponents of a good formula were guessed, so another value may fit better",
    "simplify": "a part that can be dropped without harm was noise",
    "cross": "two good formulas may hold parts that add up",
}


class SymbolicProposer:
    """Deterministic in the request's seed; revises by drawing again. Needs no language model."""

    def propose(self, request: Request) -> Draft:
        random = Random(f"{request.seed}/{request.plan['slot']}/{request.revision}")
        known = {algorithm.source for algorithm in request.known}
        for _ in range(20):
            expression, group = self._vary(request, random)
            text = source(expression, group)
            if text not in known and text != request.previous:
                break
        thought: dict[str, Any] = {
            "idea": f"{formula(expression)}, compared within each {group}",
            "why": _WHY[request.plan["operator"]],
            "expected": "better",
            "builds_on": [],
            "expression": expression,
        }
        return Draft(thought, text)

    def _vary(self, request: Request, random: Random) -> tuple[Expression, str]:
        trees = [freeze(parent.expression) for parent in request.parents]
        group = "matrix" if request.parents and 'GROUP = "matrix"' in request.parents[0].source else "row"
        if random.random() < GROUP_FLIP:
            group = "row" if group == "matrix" else "matrix"
        match request.plan["operator"]:
            case "structure":
                return variation.mutate_structure(trees[0], random), group
            case "constants":
                return variation.mutate_constants(trees[0], random), group
            case "simplify":
                return variation.shrink(trees[0], random), group
            case "cross":
                return variation.cross(trees[0], trees[1], random), group
            case "explore":
                return variation.explore(random), group
            case _:
                return variation.initialise(random), "row"
