"""Parents of the symbolic engine: islands that evolve separately with occasional migration, and parsimony pressure."""

import math
from collections.abc import Sequence

from autoprune.agents.population import Algorithm, is_seed
from autoprune.agents.symbolic.expression import freeze, size
from autoprune.agents.symbolic.individual import Individual, can_be_parent
from autoprune.agents.symbolic.structures import IMPORTANCE

ISLANDS = 2
"""Populations that evolve separately."""
MIGRATION = 4
"""Generations between two in which all islands mix."""
PARSIMONY = 0.002
"""Penalty per node of a formula, in log-perplexity."""


def able_on_island(
    ranked: Sequence[Algorithm], place: int, generation: int, structured: bool = False
) -> list[Algorithm]:
    """The possible parents of a slot, best first by log-perplexity and size.

    Slots of a generation belong to the islands in turn. Published scores belong to all islands, and every MIGRATION
    generations all algorithms do. `structured`: in a search of structures only formulas are parents, no code.
    """
    able = [
        algorithm
        for algorithm in ranked
        if (algorithm.thought.get(IMPORTANCE) if structured else can_be_parent(algorithm.thought, algorithm.source))
    ]
    if generation % MIGRATION:
        own = (place - 1) % ISLANDS
        able = [algorithm for algorithm in able if is_seed(algorithm.name) or island_of(algorithm.name) == own]
    return sorted(able, key=_cost)


def island_of(slot: str) -> int:
    """The island of a slot's candidate (g3.c2)."""
    return (int(slot.rpartition("c")[2]) - 1) % ISLANDS


def _cost(algorithm: Algorithm) -> tuple[float, str]:
    expression = algorithm.thought.get(IMPORTANCE)
    nodes = size(freeze(expression)) if expression else Individual.of(algorithm.thought, algorithm.source).size
    return math.log(algorithm.perplexity or math.inf) + PARSIMONY * nodes, algorithm.name
