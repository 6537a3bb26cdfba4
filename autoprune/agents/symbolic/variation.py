"""How expressions vary: drawn anew, changed in structure or constants, simplified, crossed. Pure, given a generator."""

from collections.abc import Callable, Iterator
from random import Random

from autoprune.agents.symbolic.expression import OPERATORS, OUTERMOST, TERMINALS, Expression, shape, simplify, size

LARGEST = 24
EXPONENTS = (0.25, 0.33, 0.5, 0.67, 0.75, 1.25, 1.5, 2.0)
_INPUTS = tuple(name for name in TERMINALS if name != "W")
EXCHANGE = 0.25
"""How often a new formula's mask is improved by exchanges."""
_UNARY = tuple(name for name, operator in OPERATORS.items() if operator.arity == 1 and name not in OUTERMOST)
_BINARY = ("add", "mul", "mul", "div", "sub")


def initialise(random: Random) -> Expression:
    """A weight term times an input term, each bent a little: the family that the published scores belong to."""
    weight = random.choice(
        ["W", ("pow", "W", random.choice(EXPONENTS)), ("add", ("row_share", "W"), ("column_share", "W"))]
    )
    inputs: Expression = ("pow", random.choice(_INPUTS), random.choice(EXPONENTS))
    if random.random() < 0.4:
        inputs = (random.choice(("add", "mul")), inputs, random.choice(_INPUTS))
    return simplify(_maybe_exchanged(("mul", weight, inputs), random))


def explore(random: Random, depth: int = 3) -> Expression:
    """A random tree, of any family."""
    return _matrix(lambda: _maybe_exchanged(_grow(random, depth), random))


def mutate_structure(parent: Expression, random: Random) -> Expression:
    """One subtree is replaced by a new one, or wrapped in an operator."""

    def attempt() -> Expression:
        place = random.choice(list(_places(parent)))
        old = _at(parent, place)
        if not place and random.random() < 0.5:
            return ("exchange", parent)
        if random.random() < 0.5:
            return _put(parent, place, _grow(random, 2))
        if random.random() < 0.5:
            return _put(parent, place, (random.choice(_UNARY), old))
        return _put(parent, place, (random.choice(_BINARY), old, _grow(random, 1)))

    return _matrix(attempt, unlike=parent)


def mutate_constants(parent: Expression, random: Random) -> Expression:
    """One constant is scaled; where there is none, an input gets an exponent."""

    def attempt() -> Expression:
        places = list(_places(parent))
        constants = [place for place in places if isinstance(_at(parent, place), float)]
        if constants:
            place = random.choice(constants)
            value = _at(parent, place)
            assert isinstance(value, float)
            return _put(
                parent, place, round(min(max(value * random.choice((0.5, 0.7, 0.85, 1.2, 1.5, 2.0)), 0.05), 4.0), 3)
            )
        names = [place for place in places if isinstance(_at(parent, place), str)]
        place = random.choice(names)
        return _put(parent, place, ("pow", _at(parent, place), random.choice(EXPONENTS)))

    return _matrix(attempt, unlike=parent)


def shrink(parent: Expression, random: Random) -> Expression:
    """One operator gives way to one of its arguments; a terminal alone is explored from anew."""
    if not isinstance(parent, tuple):
        return initialise(random)

    def attempt() -> Expression:
        place = random.choice([place for place in _places(parent) if isinstance(_at(parent, place), tuple)])
        old = _at(parent, place)
        assert isinstance(old, tuple)
        return _put(parent, place, random.choice([part for part in old[1:] if not isinstance(part, float)]))

    return _matrix(attempt, unlike=parent)


def cross(one: Expression, other: Expression, random: Random) -> Expression:
    """A subtree of one parent takes a place in the other."""

    def attempt() -> Expression:
        graft = _at(other, random.choice(list(_places(other))))
        return _put(one, random.choice(list(_places(one))), graft)

    return _matrix(attempt, unlike=one)


def _maybe_exchanged(expression: Expression, random: Random) -> Expression:
    return ("exchange", expression) if random.random() < EXCHANGE else expression


def _grow(random: Random, depth: int) -> Expression:
    if depth == 0 or random.random() < 0.2:
        return "W" if random.random() < 0.4 else random.choice(_INPUTS)
    draw = random.random()
    if draw < 0.25:
        return ("pow", _grow(random, depth - 1), random.choice(EXPONENTS))
    if draw < 0.5:
        return (random.choice(_UNARY), _grow(random, depth - 1))
    return (random.choice(_BINARY), _grow(random, depth - 1), _grow(random, depth - 1))


def _matrix(attempt: Callable[[], Expression], unlike: Expression | None = None) -> Expression:
    """The first attempt that is a matrix, not too large, and new; after many, a product with the weight."""
    drawn: Expression = "W"
    for _ in range(50):
        drawn = simplify(attempt())
        if shape(drawn) == "matrix" and size(drawn) <= LARGEST and drawn != unlike and _sound(drawn):
            return drawn
    return simplify(("mul", "W", ("pow", "X", 0.5)))


def _sound(expression: Expression) -> bool:
    """Exponents are constants, an operator's first argument is never a bare constant, exchanges are outermost."""
    if not isinstance(expression, tuple):
        return True
    operator, first, *rest = expression
    if any(isinstance(argument, tuple) and argument[0] in OUTERMOST for argument in expression[1:]):
        return False
    if isinstance(first, float) or (operator == "pow") != (bool(rest) and isinstance(rest[0], float)):
        return False
    return all(_sound(argument) for argument in expression[1:])


def _places(expression: Expression, prefix: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    yield prefix
    if isinstance(expression, tuple):
        for index, argument in enumerate(expression[1:], 1):
            yield from _places(argument, (*prefix, index))


def _at(expression: Expression, place: tuple[int, ...]) -> Expression:
    for index in place:
        assert isinstance(expression, tuple)
        expression = expression[index]
    return expression


def _put(expression: Expression, place: tuple[int, ...], part: Expression) -> Expression:
    if not place:
        return part
    assert isinstance(expression, tuple)
    index, *rest = place
    return (*expression[:index], _put(expression[index], tuple(rest), part), *expression[index + 1 :])
