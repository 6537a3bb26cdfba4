"""The operator `recombine`: the algorithm of one good candidate with the allocation of another.

So algorithms and allocations evolve together, though no proposer brings both (cooperative co-evolution). Several
allocations are compared on few windows before one of them takes the slot.
"""

from collections.abc import Sequence
from typing import Any

from autoprune.agents.population import Algorithm
from autoprune.agents.proposer import Draft, Request, same_formula
from autoprune.agents.symbolic.allocation import as_code
from autoprune.candidates.composition import algorithm_of, allocation_of, composed
from autoprune.errors import CandidateFailure
from autoprune.measuring.allocation_trials import losses_by_allocation
from autoprune.measuring.workbench import Workbench


def recombined_draft(workbench: Workbench, request: Request) -> Draft:
    """The first parent's algorithm with the allocation of the other one that has the lowest loss on a few windows."""
    algorithm, donors = request.parents[0], request.parents[1:]
    sources = [composed(algorithm.source, donor.source) for donor in donors]
    how = ""
    best = 0
    if len(sources) > 1:
        try:
            with workbench.measurer.lock:
                losses, masks = losses_by_allocation(workbench, algorithm.source, sources)
        except CandidateFailure as failure:
            return Draft(problem=f"allocations for {algorithm.name} could not be compared: {failure}")
        best = min(range(len(losses)), key=lambda place: (losses[place], place))
        compared = ", ".join(f"{donor.name} {loss:.4f}" for donor, loss in zip(donors, losses, strict=True))
        how = f"; losses on a few windows with {masks}: {compared}"
    donor = donors[best]
    thought: dict[str, Any] = {
        "idea": f"the algorithm of {algorithm.name} with the allocation of {donor.name}",
        "why": f"both are among the best, and neither was measured with the other's part{how}",
        "expected": "better",
        "builds_on": [],
    }
    thought |= same_formula(algorithm.thought)
    if "expression" in algorithm.thought:
        thought["expression"] = algorithm.thought["expression"]
        own = donor.thought.get("allocation")
        thought["allocation"] = own or as_code(allocation_of(donor.source) or "")
    return Draft(thought, sources[best])


def untried_donors(algorithm: Algorithm, donors: Sequence[Algorithm], sources: Sequence[str], most: int) -> list[str]:
    """The first `most` of some candidates whose allocation is not that of any candidate with the same algorithm.

    `sources`: of all candidates.
    """
    try:
        own = algorithm_of(algorithm.source)
    except ValueError:  # its score uses its allocation
        return []
    tried = {_allocation(source) for source in sources if _algorithm(source) == own}
    chosen: dict[str, str] = {}
    for donor in donors:
        spread = _allocation(donor.source)
        if spread is None or spread in tried or spread in chosen or len(chosen) == most:
            continue
        try:
            composed(algorithm.source, donor.source)
        except ValueError:  # each would change what the other computes
            continue
        chosen[spread] = donor.name
    return list(chosen.values())


def _allocation(source: str) -> str | None:
    try:
        return allocation_of(source)
    except ValueError:
        return None


def _algorithm(source: str) -> str | None:
    try:
        return algorithm_of(source)
    except ValueError:
        return None
