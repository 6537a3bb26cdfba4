"""Score expressions: small typed trees over the inputs of a candidate.

An expression is a number, the name of a terminal, a tuple (operator, argument, ...), or ("code", source), the score of
another candidate as a whole. A value is a matrix [out, in], a row [in], a column [out, 1] or a constant; they broadcast
as in torch. `exchange` improves the mask of a score by the full Hessian; it can only be the outermost operator, and its
second argument is its number of rounds.
"""

from typing import Any

from autoprune.agents.symbolic.operators import CODE, OPERATORS, OUTERMOST, TERMINALS, Shape
from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, Expression
from autoprune.pruning.refinements.spec import SWAP_ROUNDS

SEEDS: dict[str, tuple[Expression, str]] = {
    name: (expression, PUBLISHED[name].group) for name, expression in EXPRESSIONS.items()
}
"""The published scores that the search starts from: name -> (expression, GROUP)."""

FEW_ROUNDS, MOST_ROUNDS = 2.0, float(SWAP_ROUNDS)
"""Rounds of `exchange`: of competing formulas, whose order the first rounds already show, and of the best ones at the
end of a search. Any whole number up to MOST_ROUNDS is valid."""
_IDEMPOTENT = {"minmax", "zscore", "row_share", "column_share", "abs"}


def freeze(tree: Any) -> Expression:
    """An expression from its JSON form (lists become tuples)."""
    return tuple(freeze(part) for part in tree) if isinstance(tree, list) else tree


def arguments(expression: Expression) -> tuple[Expression, ...]:
    """The arguments of the outermost operator; empty for a leaf."""
    return expression[1:] if isinstance(expression, tuple) and expression[0] != CODE else ()


def shape(expression: Expression) -> Shape:
    """The shape of the expression's value before it is broadcast to the weight."""
    if isinstance(expression, str):
        return TERMINALS[expression].shape
    if not isinstance(expression, tuple):
        return "constant"
    if expression[0] == CODE:
        return "matrix"
    if reduced := OPERATORS[expression[0]].gives:
        return reduced
    shapes = {shape(argument) for argument in expression[1:]} - {"constant"}
    if "matrix" in shapes or len(shapes) > 1:
        return "matrix"
    return shapes.pop() if shapes else "constant"


def size(expression: Expression) -> int:
    """Number of nodes of the tree."""
    return 1 + sum(size(argument) for argument in arguments(expression))


def codes(expression: Expression) -> list[str]:
    """The sources of all leaves that are other candidates' code."""
    if isinstance(expression, tuple) and expression[0] == CODE:
        return [str(expression[1])]
    return [source for argument in arguments(expression) for source in codes(argument)]


def sound(expression: Expression) -> bool:
    """Whether all operators have valid arguments: only exponents, rounds and second operands of `mul` and `add` may be
    numbers, reductions apply to matrices, `exchange` is outermost, and at most one leaf is code."""
    return len(codes(expression)) <= 1 and _sound(expression)


def _sound(expression: Expression) -> bool:
    parts = arguments(expression)
    if not parts:
        return True
    assert isinstance(expression, tuple)
    operator, first, *rest = expression
    if any(isinstance(part, tuple) and part[0] in OUTERMOST for part in parts) or isinstance(first, float):
        return False
    if OPERATORS[operator].over and shape(first) == "constant":
        return False
    if OPERATORS[operator].gives and shape(first) != "matrix":
        return False
    if operator == "attention" and shape(first) != shape(rest[0]):
        return False
    if operator in OUTERMOST:
        return isinstance(rest[0], float) and 1 <= rest[0] <= MOST_ROUNDS and rest[0].is_integer() and _sound(first)
    if operator == "pow":
        return isinstance(rest[0], float) and _sound(first)
    if operator not in ("mul", "add") and any(isinstance(part, float) for part in rest):
        return False
    return all(_sound(part) for part in parts)


def non_negative(expression: Expression) -> bool:
    """Whether the operators guarantee a non-negative value."""
    if isinstance(expression, str):
        return True
    if not isinstance(expression, tuple):
        return expression >= 0
    if expression[0] == CODE:
        return False
    operator = OPERATORS[expression[0]]
    if expression[0] in ("sqr", "abs", "exp", "minmax") or operator.gives:
        return True
    return operator.keeps_sign and all(
        non_negative(part) for place, part in enumerate(expression[1:]) if place or not operator.guards
    )


def simplify(expression: Expression) -> Expression:
    """Remove operators without effect: pairs that cancel, repeated idempotent ones, `abs` of non-negative values."""
    if not arguments(expression):
        return expression
    assert isinstance(expression, tuple)
    operator, *parts = expression
    parts = [simplify(part) for part in parts]
    first = parts[0]
    inner = first[0] if isinstance(first, tuple) else None
    if (operator, inner) == ("neg", "neg"):
        return arguments(first)[0]
    if {operator, inner} == {"sqrt", "sqr"}:
        return simplify(("abs", arguments(first)[0]))
    if operator == inner and operator in _IDEMPOTENT:
        return first
    if operator == "abs" and non_negative(first):
        return first
    if operator == "pow" and inner == "pow":
        assert isinstance(first, tuple)
        return simplify(("pow", first[1], round(first[2] * parts[1], 6)))
    if operator in ("pow", "mul") and parts[1] == 1.0:
        return first
    if operator == "attention" and parts[0] == parts[1]:
        return first
    return (operator, *parts)
