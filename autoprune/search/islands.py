"""From whom the symbolic engine descends: islands that evolve by themselves and now and then take in others, and a
preference for short formulas among those that prune alike."""

import math
from collections.abc import Sequence

from autoprune.agents.population import Algorithm, is_seed
from autoprune.agents.symbolic.individual import Individual, can_be_parent
from autoprune.config_sections import SearchSettings

PARSIMONY = 0.002
"""Log-perplexity that one more node of a formula must be worth."""


def able_on_island(
    ranked: Sequence[Algorithm], place: int, generation: int, settings: SearchSettings
) -> list[Algorithm]:
    """The possible parents of a slot, best first by log-perplexity and size.

    Slots of a generation belong to the islands in turn. Published scores are native to all islands; every
    `settings.migration` generations everybody is.
    """
    migration = generation % settings.migration == 0
    able = [algorithm for algorithm in ranked if can_be_parent(algorithm.thought, algorithm.source)]
    if settings.islands > 1 and not migration:
        own = (place - 1) % settings.islands
        able = [each for each in able if is_seed(each.name) or island_of(each.name, settings.islands) == own]
    return sorted(able, key=_worth)


def island_of(slot: str, islands: int) -> int:
    """Where the candidate of a slot (g3.c2) was born."""
    return (int(slot.rpartition("c")[2]) - 1) % islands


def _worth(algorithm: Algorithm) -> tuple[float, str]:
    individual = Individual.of(algorithm.thought, algorithm.source)
    return math.log(algorithm.perplexity or math.inf) + PARSIMONY * individual.size, algorithm.name
