"""What the symbolic engine evolves: a formula, what it is compared within, and an allocation if it brings one."""

from dataclasses import dataclass, replace
from typing import Any

from autoprune.agents.symbolic.allocation import Allocation
from autoprune.agents.symbolic.code_leaf import can_embed, can_embed_whole
from autoprune.agents.symbolic.expression import freeze, size
from autoprune.agents.symbolic.operators import CODE
from autoprune.agents.symbolic.source import source
from autoprune.agents.symbolic.variation import deepened
from autoprune.pruning.published import Expression


@dataclass(frozen=True)
class Individual:
    """One of them. Others' code counts as a formula of one leaf."""

    expression: Expression
    group: str
    allocation: Allocation | None = None

    @staticmethod
    def of(thought: dict[str, Any], code: str) -> "Individual":
        """From a candidate's thought, where this engine wrote it, else from its code as a whole."""
        group = "matrix" if 'GROUP = "matrix"' in code else "row"
        expression = thought.get("expression")
        if expression is None:
            return Individual((CODE, code), group)
        return Individual(freeze(expression), group, thought.get("allocation"))

    def deepened(self) -> "Individual | None":
        """The same with as many rounds of exchanges as there may be.

        None where it has them already, and for others' code that cannot be taken whole.
        """
        deep = deepened(self.expression)
        match self.expression:
            case (name, code) if name == CODE and not can_embed_whole(code):
                return None
        return None if deep is None else replace(self, expression=deep)

    @property
    def source(self) -> str:
        """The candidate's source."""
        return source(self.expression, self.group, self.allocation)

    @property
    def size(self) -> int:
        """Nodes of the formula, and constants of the allocation."""
        spread = self.allocation or {}
        return size(self.expression) + len(spread.get("knots", ())) + len(spread.get("roles", ()))


def without_exchanges(thought: dict[str, Any], code: str) -> str | None:
    """The source of the formula alone, of a candidate of this engine that ends in exchanges; None of any other."""
    individual = Individual.of(thought, code)
    match individual.expression:
        case ("exchange", inner, _):
            return source(inner, individual.group)
    return None


def can_be_parent(thought: dict[str, Any], code: str) -> bool:
    """Whether the symbolic engine can build on a candidate."""
    return thought.get("expression") is not None or can_embed(code)
