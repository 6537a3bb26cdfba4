"""Signals of a unit for allocations: size, skewness, norms, outliers and spectrum of its layers."""

import math
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.allocation.owl import SHARES
from autoprune.pruning.fields import UNITS
from autoprune.pruning.greedy import greedy_error
from autoprune.pruning.scores import wanda
from autoprune.pruning.skewness import skewness, unit_skewness, weight_skewness

SMALLEST_SPREAD = 1e-6


def unit_key(layer: Any, by: str = "block") -> str:
    """The name of the unit of a layer (with `name`, `role`, `block`), for one of UNITS."""
    keys = {"block": f"block.{layer.block}", "module": layer.name, "projection": f"block.{layer.block}.{layer.role}"}
    if by not in keys:
        raise UsageError(f"unknown unit {by!r}; there are {', '.join(UNITS)}")
    return keys[by]


def unit_signals(layers: Iterable[Any], names: Collection[str]) -> dict[str, float]:
    """The named signals of one unit, from its layers with the fields of the contract.

    size: prunable weights. skewness: of |W|, size-weighted mean over matrices; score_skewness: the same of the Wanda
    scores. weight_norm: root mean square of the weights. input_norm: root mean square of the layer inputs.
    outlier_share: share of the pooled Wanda scores above 5 times their mean (OWL); outlier_share_3 and
    outlier_share_10: with other multiples. mean_score: mean of the pooled Wanda scores (DLP). alpha: mean power-law
    exponent of the matrices' spectra (AlphaPruning). greedy_error: mean reconstruction error of the matrices after
    greedy pruning (LSA), which reads full Hessians. Raises UsageError for an unknown name.
    """
    unknown = set(names) - set(SIGNALS)
    if unknown:
        raise UsageError(f"unknown signal {min(unknown)!r}; there are {', '.join(SIGNALS)}")
    members = list(layers)
    return {name: SIGNALS[name](members) for name in names}


def _size(layers: list[Any]) -> int:
    return sum(layer.weight.numel() for layer in layers)


def _skewness(layers: list[Any]) -> float:
    return unit_skewness((layer.weight.numel(), weight_skewness(layer.weight)) for layer in layers)


def _score_skewness(layers: list[Any]) -> float:
    return unit_skewness((layer.weight.numel(), skewness(wanda(layer))) for layer in layers)


def _weight_norm(layers: list[Any]) -> float:
    return math.sqrt(math.fsum(float(layer.weight.float().norm()) ** 2 for layer in layers) / _size(layers))


def _input_norm(layers: list[Any]) -> float:
    inputs = sum(layer.hessian_diag.numel() for layer in layers)
    return math.sqrt(math.fsum(float(layer.hessian_diag.double().sum()) for layer in layers) / inputs)


def _mean_score(layers: list[Any]) -> float:
    return math.fsum(float(wanda(layer).double().sum()) for layer in layers) / _size(layers)


def _outlier_share(layers: list[Any], multiple: float) -> float:
    threshold = multiple * _mean_score(layers)
    return sum(int((wanda(layer) > threshold).sum()) for layer in layers) / _size(layers)


def _alpha(layers: list[Any]) -> float:
    return math.fsum(hill_exponent(layer.weight) for layer in layers) / len(layers)


def _greedy_error(layers: list[Any]) -> float:
    return math.fsum(greedy_error(layer.weight, layer.hessian) for layer in layers) / len(layers)


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


SIGNALS: dict[str, Callable[[list[Any]], float]] = {
    "size": _size,
    "skewness": _skewness,
    "score_skewness": _score_skewness,
    "weight_norm": _weight_norm,
    "input_norm": _input_norm,
    **{name: partial(_outlier_share, multiple=multiple) for multiple, name in SHARES.items()},
    "mean_score": _mean_score,
    "alpha": _alpha,
    "greedy_error": _greedy_error,
}
BY_HESSIAN = frozenset({"greedy_error"})
"""Signals that read the full Hessian of each layer."""
