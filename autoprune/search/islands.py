"""From whom the symbolic engine descends: islands that evolve by themselves and now and then take in others, and a
preference for short formulas among those that prune alike."""

import math
from collections.abc import Sequence

from autoprune.agents.population import Algorithm, is_seed
from autoprune.agents.symbolic.individual import Individual, can_be_parent

ISLANDS = 2
"""Populations that evolve side by side."""
MIGRATION = 4
"""Every so many generations all islands mix."""
PARSIMONY = 0.002
"""Log-perplexity that one more node of a formula must be worth."""


def able_on_island(ranked: Sequence[Algorithm], place: int, generation: int) -> list[Algorithm]:
    """The possible parents of a slot, best first by log-perplexity and size.

    Slots of a generation belong to the islands in turn. Published scores are native to all islands; every MIGRATION
    generations everybody is.
    """
    able = [algorithm for algorithm in ranked if can_be_parent(algorithm.thought, algorithm.source)]
    if generation % MIGRATION:
        own = (place - 1) % ISLANDS
        able = [each for each in able if is_seed(each.name) or island_of(each.name) == own]
    return sorted(able, key=_worth)


def island_of(slot: str) -> int:
    """Where the candidate of a slot (g3.c2) was born."""
    return (int(slot.rpartition("c")[2]) - 1) % ISLANDS


def _worth(algorithm: Algorithm) -> tuple[float, str]:
    individual = Individual.of(algorithm.thought, algorithm.source)
    return math.log(algorithm.perplexity or math.inf) + PARSIMONY * individual.size, algorithm.name
