"""The individuals that the symbolic engine evolves: a formula, its comparison group, and optionally an allocation."""

from dataclasses import dataclass, replace
from typing import Any

from autoprune.agents.symbolic.allocation import Allocation, as_code
from autoprune.agents.symbolic.code_leaf import can_embed, can_embed_whole
from autoprune.agents.symbolic.expression import freeze, size
from autoprune.agents.symbolic.operators import CODE
from autoprune.agents.symbolic.source import source
from autoprune.agents.symbolic.variation import deepened
from autoprune.candidates.composition import algorithm_of, allocation_of
from autoprune.pruning.published import Expression


@dataclass(frozen=True)
class Individual:
    """One individual. The code of other proposers is a formula with a single leaf."""

    expression: Expression
    group: str
    allocation: Allocation | None = None

    @staticmethod
    def of(thought: dict[str, Any], code: str) -> "Individual":
        """From the candidate's thought if this engine proposed it, else from its whole code and allocation."""
        group = "matrix" if 'GROUP = "matrix"' in code else "row"
        expression = thought.get("expression")
        if expression is None:
            return Individual(*_taken_apart(code, group))
        return Individual(freeze(expression), group, thought.get("allocation"))

    def deepened(self, factor: int) -> "Individual | None":
        """The same with `factor` times the rounds of exchanges, MOST_ROUNDS at most.

        None if it has them already, or code that cannot be embedded whole.
        """
        deep = deepened(self.expression, factor)
        match self.expression:
            case (name, code) if name == CODE and not can_embed_whole(code):
                return None
        return None if deep is None else replace(self, expression=deep)

    @property
    def source(self) -> str:
        return source(self.expression, self.group, self.allocation)

    @property
    def size(self) -> int:
        """Number of nodes of the formula and of constants of the allocation."""
        allocation = self.allocation or {}
        return size(self.expression) + len(allocation.get("knots", ())) + len(allocation.get("roles", ()))


def _taken_apart(code: str, group: str) -> tuple[Expression, str, Allocation | None]:
    """Another proposer's code as a leaf and an allocation, or whole if they cannot be separated."""
    try:
        own = allocation_of(code)
        if own is not None:
            return (CODE, algorithm_of(code)), group, as_code(own)
    except ValueError:  # not Python, or a score that uses its allocation
        pass
    return (CODE, code), group, None


def without_exchanges(thought: dict[str, Any], code: str) -> str | None:
    """The formula's source without the outermost `exchange` of a candidate of this engine; None for any other."""
    individual = Individual.of(thought, code)
    match individual.expression:
        case ("exchange", inner, _):
            return source(inner, individual.group)
    return None


def can_be_parent(thought: dict[str, Any], code: str) -> bool:
    """Whether the symbolic engine can build on a candidate."""
    return thought.get("expression") is not None or can_embed(code)
