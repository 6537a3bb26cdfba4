"""The kit: functions on tensors that candidates may import, `from autoprune import kit`.

These are the functions that the published baselines use, with the same results; `by_role` is this project's own.
Weights and scores are [out, in] in any floating dtype, masks [out, in] in bool (True = keep), a Hessian [in, in] is
X X^T / tokens in float32, all on one device. A `pattern` is "none" or N:M, as `layer.pattern`. Nothing is changed in
place, and the same arguments give the same bits. Arguments that do not fit raise UsageError; `obs`, `admm`, `alps` and
`inverse_hessian` raise AutoPruneError for a Hessian that is not finite.

A unit of an allocation is what `allocate` gets, or a mapping with the same names. An allocation returns one density per
unit, the share of weights kept, whose size-weighted mean is the budget.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from autoprune.pruning import masks
from autoprune.pruning.allocation import atp as atp_allocation
from autoprune.pruning.allocation import owl as owl_allocation
from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.inverse import DAMPING, inverse_factor
from autoprune.pruning.refinements import dsnot as dsnot_refinement
from autoprune.pruning.refinements import swaps as swaps_refinement
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.pruning.updates import admm as admm_update
from autoprune.pruning.updates import alps as alps_update
from autoprune.pruning.updates import obs as obs_update

__all__ = [
    "admm",
    "alps",
    "by_role",
    "dsnot",
    "inverse_hessian",
    "linear_depth",
    "matrix_mask",
    "nm_mask",
    "obs",
    "owl",
    "row_mask",
    "sdsa",
    "swaps",
]


def row_mask(score: Tensor, zeros: int) -> Tensor:
    """The mask that prunes the lowest scores of each row, `zeros` in all, as evenly as possible over the rows."""
    return masks.row_mask(score, zeros)


def matrix_mask(score: Tensor, zeros: int) -> Tensor:
    """The mask that prunes the `zeros` lowest scores of the matrix."""
    return masks.matrix_mask(score, zeros)


def nm_mask(score: Tensor, n: int, m: int) -> Tensor:
    """The mask that keeps the n highest scores of every m neighbours along the inputs."""
    return masks.nm_mask(score, n, m)


def swaps(
    weight: Tensor, mask: Tensor, hessian: Tensor, rounds: int | None = SWAP_ROUNDS, pattern: str = "none"
) -> Tensor:
    """A mask with an error p H p^T that is larger in no row, by swaps of a kept and a pruned weight; rounds=None: until
    no swap improves a row.

    SparseSwaps: Zimmer et al., arXiv 2512.10922. As many weights are kept per row, or per m neighbours.
    """
    return swaps_refinement.swaps(weight, mask, hessian, rounds, masks.parse_pattern(pattern))


def dsnot(
    weight: Tensor,
    mask: Tensor,
    input_mean: Tensor,
    input_var: Tensor,
    hessian_diag: Tensor,
    pattern: str = "none",
    cycles: int = dsnot_refinement.CYCLES,
) -> Tensor:
    """A mask with an expected error |sum of pruned w mean(x)| that is larger in no row, by moments of the inputs.

    DSnoT: Zhang et al., arXiv 2310.08915. As many weights are kept per row, or per m neighbours.
    """
    parsed = masks.parse_pattern(pattern)
    return dsnot_refinement.dsnot(weight, mask, input_mean, input_var, hessian_diag, parsed, cycles)


def inverse_hessian(hessian: Tensor, damping: float = DAMPING) -> Tensor:
    """(H + damping mean(diag H) I)^-1 [in, in], float32; inputs that were never active count as independent.

    The mean covers active inputs only. The damping grows until the factorisation succeeds, up to ten times the mean; a
    Hessian that is not positive definite even then raises AutoPruneError. As in SparseGPT: Frantar & Alistarh, arXiv
    2301.00774.
    """
    upper = inverse_factor(hessian, damping).upper
    return upper.T @ upper


def obs(weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
    """New values of the kept weights, from left to right as in SparseGPT; zero where the mask is False.

    Frantar & Alistarh, arXiv 2301.00774.
    """
    return obs_update.obs(weight, mask, inverse_factor(hessian))


def admm(weight: Tensor, mask: Tensor, hessian: Tensor, iterations: int = admm_update.ITERATIONS) -> Tensor:
    """New values of the kept weights by 20 iterations of ADMM; zero where the mask is False.

    Boza, arXiv 2401.02938.
    """
    return admm_update.admm(weight, mask, admm_update.prepare(hessian), iterations)


def alps(weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
    """New values of the kept weights by ADMM, then conjugate gradients; zero where the mask is False.

    ALPS: Meng et al., arXiv 2406.07831.
    """
    return alps_update.alps(weight, mask, alps_update.prepare(hessian))


def linear_depth(units: Sequence[Any], sparsity: float, slope: float) -> list[float]:
    """Densities that fall by `slope` from the first decoder block to the last.

    ATP: arXiv 2502.14770.
    """
    described = _described(units)
    steps = len({unit["depth"] for unit in described}) - 1
    return atp_allocation.atp(described, sparsity, slope / max(steps, 1))


def sdsa(
    units: Sequence[Any], sparsity: float, kappa: float = 0.5, tau: float = 1.0, delta: float = 0.15
) -> list[float]:
    """Densities by the skewness of |weight|: units with a strong right skew are pruned less.

    SDSA: the idea is AutoPrune's, arXiv 2511.15390; see `pruning/allocation/sdsa.py`.
    """
    return SDSA(kappa, tau, delta)(_described(units), sparsity)


def owl(units: Sequence[Any], sparsity: float, lam: float = owl_allocation.LAMBDA) -> list[float]:
    """Densities by the share of outliers among Wanda scores, within a range of 2 lam.

    OWL: Yin et al., arXiv 2310.05175.
    """
    return owl_allocation.owl(_described(units), sparsity, lam)


def by_role(units: Sequence[Any], sparsity: float, factors: Mapping[str, float]) -> list[float]:
    """Densities of 1 - sparsity times a factor by role, for example {"down": 1.2}, which is 1 for other roles; all are
    then shifted by the same number onto the budget.

    Of this project.
    """
    described = _described(units)
    raw = [(1.0 - sparsity) * factors.get(unit["role"], 1.0) for unit in described]
    return project(raw, [unit["size"] for unit in described], sparsity)


def _described(units: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [unit if isinstance(unit, Mapping) else vars(unit) for unit in units]
