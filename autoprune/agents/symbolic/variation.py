"""Variation of expressions: initialisation, mutation of structure or constants, simplification, crossover.

All functions are pure, given a random generator.
"""

from collections.abc import Callable, Iterator
from random import Random

from autoprune.agents.symbolic.expression import (
    FEW_ROUNDS,
    MOST_ROUNDS,
    arguments,
    shape,
    simplify,
    size,
    sound,
)
from autoprune.agents.symbolic.operators import REDUCTIONS, TERMINALS, UNARY
from autoprune.pruning.published import Expression

LARGEST = 24
EXPONENTS = (0.25, 0.33, 0.5, 0.67, 0.75, 1.25, 1.5, 2.0)
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.5, 2.0)
EXCHANGE = 0.6
"""How often exchanges are added to a new formula, or to a parent without them."""
GRADIENT = 0.15
"""How often a new matrix leaf is the gradient, which costs one backward pass over the calibration text."""
_INPUTS = tuple(name for name, terminal in TERMINALS.items() if terminal.shape == "row")
_PLACE = tuple(name for name, terminal in TERMINALS.items() if terminal.shape == "constant")
_BINARY = ("add", "mul", "mul", "div", "sub", "attention")


def initialise(random: Random) -> Expression:
    """A weight term times an input term, with exponents: the family of the published scores."""
    power: Expression = ("pow", "W", random.choice(EXPONENTS))
    shares: Expression = ("add", ("row_share", "W"), ("column_share", "W"))
    weight: Expression = random.choice(("W", power, shares))
    inputs: Expression = ("pow", random.choice(_INPUTS), random.choice(EXPONENTS))
    if random.random() < 0.4:
        inputs = (random.choice(("add", "mul")), inputs, random.choice(_INPUTS))
    if random.random() < GRADIENT:
        weight = ("mul", weight, ("pow", ("minmax", "G"), random.choice(EXPONENTS)))
    return simplify(_maybe_exchanged(("mul", weight, inputs), random))


def explore(random: Random, depth: int = 3) -> Expression:
    """A random tree."""
    return _matrix(lambda: _maybe_exchanged(_grow(random, depth), random))


def mutate_structure(parent: Expression, random: Random) -> Expression:
    """Replace one subtree by a new one, or wrap it in an operator."""

    def attempt() -> Expression:
        if random.random() < EXCHANGE and _bare(parent) == parent:
            return ("exchange", parent, FEW_ROUNDS)
        place = random.choice(list(places(parent)))
        old = at(parent, place)
        if random.random() < 0.4:
            return put(parent, place, _grow(random, 2))
        if random.random() < 0.5:
            return put(parent, place, (random.choice(UNARY), old))
        if random.random() < 0.3:
            return put(parent, place, ("mul", old, (random.choice(REDUCTIONS), _grow(random, 1))))
        return put(parent, place, (random.choice(_BINARY), old, _grow(random, 1)))

    return _matrix(attempt, unlike=parent)


def mutate_constants(parent: Expression, random: Random) -> Expression:
    """Change one constant, but not the rounds of exchanges; without constants, give an input an exponent."""

    formula = _bare(parent)

    def attempt() -> Expression:
        constants = [place for place in places(formula) if isinstance(at(formula, place), float)]
        if constants:
            place = random.choice(constants)
            return _ended_as(parent, put(formula, place, _changed(formula, place, random)))
        names = [place for place in places(formula) if isinstance(at(formula, place), str)]
        if not names:
            return _ended_as(parent, ("pow", formula, random.choice(EXPONENTS)))
        place = random.choice(names)
        return _ended_as(parent, put(formula, place, ("pow", at(formula, place), random.choice(EXPONENTS))))

    return _matrix(attempt, unlike=parent)


def shrink(parent: Expression, random: Random) -> Expression:
    """Replace one operator by one of its arguments; a single leaf is replaced by a new formula."""
    if not arguments(parent):
        return initialise(random)

    def attempt() -> Expression:
        place = random.choice([place for place in places(parent) if arguments(at(parent, place))])
        parts = arguments(at(parent, place))
        return put(parent, place, random.choice([part for part in parts if not isinstance(part, float)]))

    return _matrix(attempt, unlike=parent)


def cross(one: Expression, other: Expression, random: Random) -> Expression:
    """Replace a subtree of one parent by one of the other, or multiply the two after min-max scaling."""

    def attempt() -> Expression:
        if random.random() < 0.25:
            return ("mul", ("minmax", _bare(one)), ("minmax", _bare(other)))
        graft = at(other, random.choice(list(places(other))))
        return put(one, random.choice(list(places(one))), graft)

    return _matrix(attempt, unlike=one)


def deepened(expression: Expression, factor: int) -> Expression | None:
    """The same with `factor` times the rounds of exchanges (of FEW_ROUNDS without any), MOST_ROUNDS at most.

    None if it has them already.
    """
    rounds = expression[2] if isinstance(expression, tuple) and expression[0] == "exchange" else FEW_ROUNDS
    assert isinstance(rounds, float)
    deep: Expression = ("exchange", _bare(expression), min(rounds * factor, MOST_ROUNDS))
    return None if expression == deep else deep


def _bare(expression: Expression) -> Expression:
    """The expression without an outermost `exchange`."""
    return arguments(expression)[0] if isinstance(expression, tuple) and expression[0] == "exchange" else expression


def _ended_as(parent: Expression, formula: Expression) -> Expression:
    """The formula with the parent's outermost `exchange`, if it has one."""
    return ("exchange", formula, parent[2]) if isinstance(parent, tuple) and parent[0] == "exchange" else formula


def _changed(parent: Expression, place: tuple[int, ...], random: Random) -> float:
    value, holder = at(parent, place), at(parent, place[:-1])
    assert isinstance(value, float)
    assert isinstance(holder, tuple)
    limit = 4.0 if holder[0] == "pow" else 1000.0
    return round(min(max(value * random.choice(FACTORS), 0.05), limit), 3)


def _maybe_exchanged(expression: Expression, random: Random) -> Expression:
    return ("exchange", expression, FEW_ROUNDS) if random.random() < EXCHANGE else expression


def _grow(random: Random, depth: int) -> Expression:
    if depth == 0 or random.random() < 0.2:
        if random.random() < 0.4:
            return "G" if random.random() < GRADIENT else "W"
        return random.choice(_INPUTS)
    draw = random.random()
    if draw < 0.25:
        return ("pow", _grow(random, depth - 1), random.choice(EXPONENTS))
    if draw < 0.45:
        return (random.choice(UNARY), _grow(random, depth - 1))
    if draw < 0.55:
        return ("add", _grow(random, depth - 1), ("mul", _grow(random, depth - 1), random.choice(_PLACE)))
    return (random.choice(_BINARY), _grow(random, depth - 1), _grow(random, depth - 1))


def _matrix(attempt: Callable[[], Expression], unlike: Expression | None = None) -> Expression:
    """The first of 50 attempts that is a sound matrix, not too large, and new; else a simple product."""
    for _ in range(50):
        drawn = simplify(attempt())
        if sound(drawn) and shape(drawn) == "matrix" and size(drawn) <= LARGEST and drawn != unlike:
            return drawn
    return simplify(("mul", "W", ("pow", "X", 0.5)))


def places(expression: Expression, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """The paths to all parts of an expression, itself first."""
    yield prefix
    for index, argument in enumerate(arguments(expression), 1):
        yield from places(argument, (*prefix, index))


def at(expression: Expression, place: tuple[int, ...]) -> Expression:
    """The part at a path."""
    for index in place:
        assert isinstance(expression, tuple)
        expression = expression[index]
    return expression


def put(expression: Expression, place: tuple[int, ...], part: Expression) -> Expression:
    """The expression with another part at a path."""
    if not place:
        return part
    assert isinstance(expression, tuple)
    index, *rest = place
    return (*expression[:index], put(expression[index], tuple(rest), part), *expression[index + 1 :])
