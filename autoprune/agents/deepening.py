"""The operator `deepen`: any candidate with more rounds of mask improvement.

A formula of the symbolic engine gets more exchanges. In other code, its own numbers of rounds are raised; if it
has none, or no time for more, exchanges are appended to its score, provided that its behaviour is kept.
"""

from typing import Literal

from typing_extensions import TypedDict

from autoprune.agents.population import Algorithm
from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS
from autoprune.agents.symbolic.individual import Individual
from autoprune.candidates.rounds import raised

DRAWN = 2
"""Times as many rounds while the search goes on: others still have to compete with the candidate."""
MOST = (8, 4, 2)
"""Times as many rounds of own code at the end of a search, the first that its time allows."""
ALL_EXCHANGES = int(MOST_ROUNDS / FEW_ROUNDS)
SHARE = 0.75
"""The share of a candidate's time limit that more rounds may take."""


class Rounds(TypedDict):
    """`of`: whose numbers of rounds are multiplied by `factor`, those of the code or the engine's exchanges."""

    of: Literal["code", "exchanges"]
    factor: int


def more_rounds(
    algorithm: Algorithm, seconds: float | None, limit: float, exchanges: bool, last: bool
) -> Rounds | None:
    """How a candidate can have more rounds; None if it cannot.

    `seconds`: what it took of its time `limit`, as far as known. `exchanges`: whether code that has no rounds may be
    ended with them. `last`: whether the search has ended.
    """
    is_formula = "expression" in algorithm.thought
    if not is_formula and raised(algorithm.source, DRAWN) is not None:
        for factor in MOST if last else (DRAWN,):
            if seconds is None or seconds * factor <= SHARE * limit:
                return {"of": "code", "factor": factor}
    how: Rounds = {"of": "exchanges", "factor": ALL_EXCHANGES if last else DRAWN}
    return how if (is_formula or exchanges) and deepened(algorithm, how) is not None else None


def deepened(algorithm: Algorithm, rounds: Rounds) -> Individual | str | None:
    """The candidate with more rounds, as an individual of the symbolic engine or as a source; None if it has them."""
    if rounds["of"] == "code":
        return raised(algorithm.source, rounds["factor"])
    return Individual.of(algorithm.thought, algorithm.source).deepened(rounds["factor"])


def source_of(deep: Individual | str | None) -> str | None:
    """Its source."""
    return deep.source if isinstance(deep, Individual) else deep
