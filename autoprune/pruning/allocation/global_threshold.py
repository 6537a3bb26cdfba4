"""Global allocation: one threshold over the scale-normalised scores of all layers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from autoprune.pruning.allocation.budget import largest_remainder, total_zeros
from autoprune.pruning.allocation.spec import AllocationSpec, Context, Made
from autoprune.pruning.allocation.uniform import uniform

if TYPE_CHECKING:
    from torch import Tensor

KEY_BITS = 16
"""Scores are counted in bins by the upper bits of their float32 pattern, which have a relative width of 1/128."""


def global_zeros(scores: "Iterable[tuple[str, Tensor]]", sparsity: float) -> dict[str, int]:
    """Zeros per layer, in total exactly round(s N), for scores that are divided by their mean size in each layer.

    Scores are finite and of any shape; one layer is held at a time. Pruning each layer's lowest scores (group "matrix")
    by these counts is equivalent to a common threshold.
    """
    import torch

    sizes: dict[str, int] = {}
    histograms: list[Tensor] = []
    for name, score in scores:
        sizes[name] = score.numel()
        histograms.append(_histogram(score))
    total = total_zeros(sparsity, sum(sizes.values()))
    counts = torch.stack(histograms)
    below = counts.sum(0).cumsum(0)
    key = min(int(torch.searchsorted(below, total)), len(below) - 1)
    inside = counts[:, key]
    under = counts[:, :key].sum(1)
    share = (total - int(under.sum())) / max(int(inside.sum()), 1)
    shares = (under + share * inside.double()).tolist()
    return dict(zip(sizes, largest_remainder(shares, total, list(sizes.values())), strict=True))


def _histogram(score: "Tensor") -> "Tensor":
    """A histogram of the scores by key, int64 [2 ** KEY_BITS], on the CPU. Keys increase with the score."""
    import torch

    values = score.detach().float().reshape(-1)
    scale = values.abs().mean(dtype=torch.float64)
    if float(scale) > 0.0:
        values = values / scale.float()
    bits = values.contiguous().view(torch.int32)
    # Flipping the magnitude bits of negative floats makes the order of the integers that of the floats.
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    keys = (ordered >> (32 - KEY_BITS)) + (1 << (KEY_BITS - 1))
    return torch.bincount(keys, minlength=1 << KEY_BITS).cpu()


def _zeros(context: Context) -> dict[str, int]:
    """Zeros from scores under uniform allocation."""
    units, sparsity = context.units, context.sparsity
    return global_zeros(context.scores(units.spread(uniform(units.described(()), sparsity), sparsity)), sparsity)


SPECS = (AllocationSpec("global", lambda parameters: Made(zeros=_zeros), "scores"),)
