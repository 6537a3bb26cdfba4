"""DLP: density falls with the share of the mean Wanda score (Dynamic Layerwise Pruning, arXiv 2505.23807)."""

from collections.abc import Mapping, Sequence
from typing import Any

from autoprune.pruning.allocation.owl import spread

WIDTH = 0.15


def dlp(units: Sequence[Mapping[str, Any]], sparsity: float, width: float = WIDTH) -> list[float]:
    """Densities from each unit's `size` and `mean_score`: OWL's spread of 1 - (share of the mean Wanda score)."""
    total = sum(unit["mean_score"] for unit in units)
    shares = [unit["mean_score"] / total if total > 0.0 else 0.0 for unit in units]
    return spread([1.0 - share for share in shares], [unit["size"] for unit in units], sparsity, width)
