"""ATP: sparsity rises linearly with depth (Determining Layer-wise Sparsity ... Through a Theoretical Perspective,
arXiv 2502.14770). The one constant, the slope beta, is found by a grid on search data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.spec import AllocationSpec, Context, Made, Parameters, Setting

UNSEARCHED = 0.5
"""Default slope as a share of the steepest one; a choice of this project."""
SLOPES = tuple(eighths / 8 for eighths in range(9))
"""Slopes of the tuning grid, as shares of the steepest one."""
WINDOWS_ON_GRID = 8


def atp(units: Sequence[Mapping[str, Any]], sparsity: float, beta: float | None = None) -> list[float]:
    """Densities from each unit's `size` and `depth`: s_i = s - beta (L - 1) / 2 + i beta, i = depth (L - 1), L depths.

    Without `beta`, half of the steepest slope that keeps every sparsity in [0, 1].
    """
    steps = len({unit["depth"] for unit in units}) - 1
    slope = UNSEARCHED * steepest(units, sparsity) if beta is None else beta
    raw = [1.0 - (sparsity + slope * steps * (unit["depth"] - 0.5)) for unit in units]
    return project(raw, [unit["size"] for unit in units], sparsity)


def steepest(units: Sequence[Mapping[str, Any]], sparsity: float) -> float:
    """The largest beta that keeps every sparsity in [0, 1]; 0 for a single depth."""
    steps = len({unit["depth"] for unit in units}) - 1
    return 2.0 * min(sparsity, 1.0 - sparsity) / steps if steps else 0.0


def atp_searched(
    units: Sequence[Mapping[str, Any]], sparsity: float, measure: Callable[[list[float]], float], points: int = 8
) -> tuple[list[float], float]:
    """The densities and the beta with the lowest `measure(densities)` among `points` + 1 slopes from 0 up."""
    top = steepest(units, sparsity)
    betas = [top * point / points for point in range(points + 1)]
    tried = [(measure(densities), beta, densities) for beta in betas for densities in [atp(units, sparsity, beta)]]
    _, beta, densities = min(tried, key=lambda entry: entry[0])
    return densities, beta


def _make(parameters: Parameters) -> Made:
    return Made(partial(atp, beta=float(parameters["beta"]) if "beta" in parameters else None), ("depth",))


def _default(units: Sequence[Mapping[str, Any]], sparsity: float) -> Parameters:
    return {"beta": UNSEARCHED * steepest(units, sparsity)}


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    for share in SLOPES:
        yield Setting("atp", default.unit, {"beta": share * steepest(units, sparsity)})


def _searched_zeros(context: Context) -> dict[str, int]:
    """ATP with its slope chosen by a grid on the search split."""
    units, sparsity = context.units, context.sparsity

    def measure(densities: list[float]) -> float:
        return context.loss(units.spread(densities, sparsity), min(WINDOWS_ON_GRID, context.windows))

    densities, _ = atp_searched(units.described(("depth",)), sparsity, measure)
    return units.spread(densities, sparsity)


SPECS = (
    AllocationSpec("atp", _make, grid=_grid, default=_default),
    AllocationSpec("atp-searched", lambda parameters: Made(zeros=_searched_zeros), "trials"),
)
