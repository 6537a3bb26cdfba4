"""DLP: density falls with the share of the mean Wanda score (Dynamic Layerwise Pruning, arXiv 2505.23807)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from autoprune.pruning.allocation.owl import spread
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

WIDTH = 0.15
WIDTHS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def dlp(units: Sequence[Mapping[str, Any]], sparsity: float, width: float = WIDTH) -> list[float]:
    """Densities from each unit's `size` and `mean_score`: OWL's spread of 1 - (share of the mean Wanda score)."""
    total = sum(unit["mean_score"] for unit in units)
    shares = [unit["mean_score"] / total if total > 0.0 else 0.0 for unit in units]
    return spread([1.0 - share for share in shares], [unit["size"] for unit in units], sparsity, width)


def _make(parameters: Parameters) -> Made:
    return Made(partial(dlp, width=float(parameters.get("width", WIDTH))), ("mean_score",))


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for width in WIDTHS:
        yield Setting("dlp", default.unit, {"width": width})


SPECS = (AllocationSpec("dlp", _make, grid=_grid, default=lambda units, sparsity: {"width": WIDTH}),)
