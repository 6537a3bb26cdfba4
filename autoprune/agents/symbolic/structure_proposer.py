"""The proposer by rules for structures: it draws, changes and crosses formulas over statistics of structures.

All is a function of the request's seed. Formulas that rank like a known one are drawn again.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from autoprune.agents.proposer import Draft, Request
from autoprune.agents.symbolic.expression import arguments, freeze, size
from autoprune.agents.symbolic.structures import (
    BINARY,
    ELIMINATE,
    IMPORTANCE,
    OVER_BLOCK,
    UNARY,
    WHOLE,
    bare,
    formula,
    order,
    source,
    terminals,
)
from autoprune.agents.symbolic.variation import EXPONENTS, at, places, put
from autoprune.pruning.published import Expression
from autoprune.pruning.structures.spec import BLOCK

LARGEST = 12
"""Nodes of a formula."""
TRIES = 30
ROUNDS = (2.0, 4.0)
ELIMINATED = 0.3
"""How often a formula is used in rounds where weights are compensated."""
ALONE = 0.5
"""How often a first formula is one statistic, as the published ones are."""
_WHY = {
    "initialise": "a weight term times an input term is the family of the published importances",
    "explore": "a formula unlike all before it may show what the family lacks",
    "structure": "one changed part of a good formula tests what that part is worth",
    "constants": "the exponents of a good formula were guessed, so another value may fit better",
    "simplify": "a part that can be dropped without harm was noise",
    "cross": "two good formulas may hold parts that add up",
}


class StructureProposer:
    """`kinds`: what candidates rank; `compensated`: whether what is left is solved for, which favours structures that
    others predict."""

    def __init__(self, kinds: Sequence[str], compensated: bool) -> None:
        self._kinds = tuple(kinds)
        self._terminals = terminals(kinds)
        blocks = self._kinds == (BLOCK,)
        self._unary = [name for name in UNARY if not (blocks and name in OVER_BLOCK)]
        self._rounds = ELIMINATED if compensated and not blocks else 0.0

    def propose(self, request: Request) -> Draft:
        """A formula as a candidate's source."""
        random = Random(f"{request.seed}/{request.plan['slot']}/{request.revision}")
        known = [algorithm.thought.get(IMPORTANCE) for algorithm in request.known]
        rankings = {order(freeze(expression)) for expression in known if expression}
        drawn = self._vary(request, random)
        for _ in range(TRIES):
            if order(drawn) not in rankings and source(drawn, self._kinds) != request.previous:
                break
            drawn = self._vary(request, random)
        thought: dict[str, Any] = {
            "idea": f"{formula(drawn)}, compared within each decoder block"
            if self._kinds != (BLOCK,)
            else f"{formula(drawn)}, compared over decoder blocks",
            "why": _WHY.get(request.plan["operator"], _WHY["structure"]),
            "expected": "better",
            "builds_on": [],
            IMPORTANCE: drawn,
        }
        return Draft(thought, source(drawn, self._kinds))

    def _vary(self, request: Request, random: Random) -> Expression:
        operator = request.plan["operator"]
        trees = [freeze(parent.thought[IMPORTANCE]) for parent in request.parents if parent.thought.get(IMPORTANCE)]
        if not trees or operator in ("initialise", "explore"):
            new = self._grow(random, 3) if operator == "explore" else self._first(random)
            return self._in_rounds(new, random)
        tree, rounds = bare(trees[0]), self._rounds_of(trees[0], random)
        match operator:
            case "constants" if arguments(tree):  # an exponent of a single statistic changes no ranking
                changed = self._sound(lambda: self._other_constant(tree, random), tree)
            case "simplify":
                changed = self._sound(lambda: self._shrunk(tree, random), tree)
            case "cross":
                other = bare(trees[-1])
                changed = self._sound(lambda: self._crossed(tree, other, random), tree)
            case _:
                changed = self._sound(lambda: self._replaced(tree, random), tree)
        return (ELIMINATE, changed, rounds) if rounds else changed

    def _first(self, random: Random) -> Expression:
        """A formula to begin with: a statistic that is an importance by itself, or a product."""
        whole = [name for name in WHOLE if name in self._terminals]
        return random.choice(whole) if whole and random.random() < ALONE else self._product(random)

    def _product(self, random: Random) -> Expression:
        first, second = random.sample(self._terminals, 2)
        return ("mul", first, ("pow", second, random.choice(EXPONENTS)))

    def _grow(self, random: Random, depth: int) -> Expression:
        if depth == 0 or random.random() < 0.25:
            return random.choice(self._terminals)
        draw = random.random()
        if draw < 0.25:
            return ("pow", self._grow(random, depth - 1), random.choice(EXPONENTS))
        if draw < 0.45:
            return (random.choice(self._unary), self._grow(random, depth - 1))
        return (random.choice(BINARY), self._grow(random, depth - 1), self._grow(random, depth - 1))

    def _in_rounds(self, tree: Expression, random: Random) -> Expression:
        return (ELIMINATE, tree, random.choice(ROUNDS)) if random.random() < self._rounds else tree

    def _rounds_of(self, tree: Expression, random: Random) -> float | None:
        """The rounds of a child: mostly those of its parent."""
        own = tree[2] if isinstance(tree, tuple) and tree[0] == ELIMINATE else None
        if random.random() < self._rounds / 2:
            return random.choice(ROUNDS)
        return own if isinstance(own, float) else None

    def _replaced(self, tree: Expression, random: Random) -> Expression:
        place = random.choice(list(_subtrees(tree)))
        old = at(tree, place)
        draw = random.random()
        if draw < 0.35:
            return put(tree, place, self._grow(random, 1))
        if draw < 0.55:
            return put(tree, place, (random.choice(self._unary), old))
        return put(tree, place, (random.choice(BINARY), old, self._grow(random, 1)))

    def _other_constant(self, tree: Expression, random: Random) -> Expression:
        constants = [place for place in places(tree) if isinstance(at(tree, place), float)]
        if constants and random.random() < 0.7:
            return put(tree, random.choice(constants), random.choice(EXPONENTS))
        place = random.choice(list(_subtrees(tree)))
        return put(tree, place, ("pow", at(tree, place), random.choice(EXPONENTS)))

    def _shrunk(self, tree: Expression, random: Random) -> Expression:
        inner = [place for place in _subtrees(tree) if arguments(at(tree, place))]
        if not inner:
            return self._product(random)
        place = random.choice(inner)
        parts = [part for part in arguments(at(tree, place)) if not isinstance(part, float)]
        return put(tree, place, random.choice(parts))

    def _crossed(self, tree: Expression, other: Expression, random: Random) -> Expression:
        graft = at(other, random.choice(list(_subtrees(other))))
        if random.random() < 0.4:
            return ("mul", tree, graft)
        return put(tree, random.choice(list(_subtrees(tree))), graft)

    def _sound(self, attempt: Callable[[], Expression], unlike: Expression) -> Expression:
        """The first attempt that is new and not too large; else the parent."""
        for _ in range(TRIES):
            drawn = attempt()
            if drawn != unlike and size(drawn) <= LARGEST:
                return drawn
        return unlike


def _subtrees(tree: Expression) -> Iterator[tuple[int, ...]]:
    """The places of all parts that are no numbers."""
    return (place for place in places(tree) if not isinstance(at(tree, place), float))
