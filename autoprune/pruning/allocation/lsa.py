"""LSA: density falls with the share of the reconstruction error of greedy pruning (Layer-wise Sparsity Allocation,
openreview.net/forum?id=xq3lza5IjN).

The formula is that of the authors' code, github.com/BeiYazi0/LSA (`layersp/blk.py`), for decoder blocks: the mean over
a block's matrices of `greedy.greedy_error`. There alpha is a constant for every tenth of sparsity.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from autoprune.pruning.allocation.owl import spread
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

PUBLISHED = (0.06, 0.02, 0.04, 0.02, 0.04, 0.1, 0.15, 0.12)
"""alpha from a sparsity of 10 % to one of 80 %."""
ALPHAS = (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25)


def published_alpha(sparsity: float) -> float:
    """The authors' constant for a sparsity."""
    tenth = int(sparsity * 10 + 1e-9)  # products such as 0.3 * 10 may fall just below
    return PUBLISHED[min(max(tenth, 1), len(PUBLISHED)) - 1]


def lsa(units: Sequence[Mapping[str, Any]], sparsity: float, alpha: float | None = None) -> list[float]:
    """Densities from each unit's `size` and `greedy_error`: OWL's spread of 1 - (share of the error), 2 alpha wide.

    `alpha`: None for the authors' constant at this sparsity.
    """
    total = sum(unit["greedy_error"] for unit in units)
    shares = [unit["greedy_error"] / total if total > 0.0 else 0.0 for unit in units]
    width = 2.0 * (published_alpha(sparsity) if alpha is None else alpha)
    return spread([1.0 - share for share in shares], [unit["size"] for unit in units], sparsity, width)


def _make(parameters: Parameters) -> Made:
    alpha = float(parameters["alpha"]) if "alpha" in parameters else None
    return Made(partial(lsa, alpha=alpha), ("greedy_error",))


def _default(units: Sequence[Mapping[str, Any]], sparsity: float) -> Parameters:
    return {"alpha": published_alpha(sparsity)}


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for alpha in ALPHAS:
        yield Setting("lsa", default.unit, {"alpha": alpha})


SPECS = (AllocationSpec("lsa", _make, grid=_grid, default=_default),)
