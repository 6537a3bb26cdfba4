"""AlphaPruning: sparsity rises with the power-law exponent of the spectrum (Lu et al., arXiv 2410.10912)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autoprune.pruning.allocation.budget import project

EPSILON = 0.3
SMALLEST_SPREAD = 1e-6


def alphapruning(units: Sequence[Mapping[str, Any]], sparsity: float, epsilon: float = EPSILON) -> list[float]:
    """Densities from each unit's `size` and `alpha`: sparsity is linear in alpha, from 1 - eps to 1 + eps times a
    common factor that makes the size-weighted mean exact."""
    alphas, sizes = [unit["alpha"] for unit in units], [unit["size"] for unit in units]
    low, high = min(alphas), max(alphas)
    width = 2.0 * epsilon / (high - low) if high > low else 0.0
    slopes = [1.0 - epsilon + width * (alpha - low) for alpha in alphas]
    mean = math.fsum(n * slope for n, slope in zip(sizes, slopes, strict=True)) / sum(sizes)
    return project([1.0 - sparsity * slope / mean for slope in slopes], sizes, sparsity)


def hill_exponent(weight: Tensor) -> float:
    """Power-law exponent of the eigenvalues of W^T W by Hill's estimator over the upper half of them.

    alpha = 1 + k / sum_{i <= k} ln(lambda_i / lambda_{k+1}), lambda falling, k = half of their number. `weight`
    [out, in], any float dtype. A spectrum without spread gives a large, finite exponent.
    """
    matrix = weight.detach().float()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    eigenvalues = torch.linalg.eigvalsh(gram).double().flip(0).clamp_min(0.0)
    k = max(len(eigenvalues) // 2, 1)
    threshold = float(eigenvalues[min(k, len(eigenvalues) - 1)])
    spread = float((eigenvalues[:k] / threshold).log().sum()) if threshold > 0.0 else 0.0
    return 1.0 + k / max(spread, SMALLEST_SPREAD)
