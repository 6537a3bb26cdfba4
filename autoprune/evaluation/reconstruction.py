"""The reconstruction error of a few decoder blocks, a cheap predictor of a candidate's perplexity.

The error of a layer is sum_r s_r d_r H d_r^T, relative to the same sum over W: d_r is row r of D = W - W', H = X X^T /
tokens the Hessian of the layer's calibration inputs X, and s_r the sensitivity of the loss to output r
(`models/gradients.py`). With equal s_r that is ||W X - W' X||^2 / ||W X||^2, which layer-wise pruning minimises
(SparseGPT, Frantar and Alistarh 2023, eq. 1). The weights s_r are needed since algorithms that weigh rows by their
effect on the loss have a large unweighted error at a good perplexity.

Errors compare masks only where they prune as many weights: a layer that an allocation spares has a small error, one
that it prunes a large one, whatever that is worth. So they are set against those of Wanda (arXiv 2306.11695) with as
many zeros in each layer. `benchmarks/ladder.py` measures how this ratio ranks algorithms, but has not been run for it.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from autoprune.models.bundle import Bundle
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.masks import make_mask, masked_weight
from autoprune.pruning.scores import wanda

BLOCKS = 5


def sampled_blocks(layers: Sequence[LayerInfo]) -> list[int]:
    """The numbers of BLOCKS evenly spaced decoder blocks, or of all if there are fewer."""
    blocks = sorted({layer.block for layer in layers})
    if len(blocks) <= BLOCKS:
        return blocks
    return [blocks[(2 * part + 1) * len(blocks) // (2 * BLOCKS)] for part in range(BLOCKS)]


class Reconstruction:
    """Reconstruction errors of the sampled blocks, from a `bundle` with their Hessians and output sensitivities."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        blocks = sampled_blocks(bundle.layers)
        sampled = sorted((layer for layer in bundle.layers if layer.block in blocks), key=lambda layer: layer.size)
        self.layers = [layer.name for layer in sampled]
        """Names of the sampled layers, smallest first, which are the cheapest and as informative."""
        self._whole: dict[str, float] = {}
        self._references: dict[tuple[str, int], float] = {}

    def references(self, zeros: Mapping[str, int], weight: Callable[[str], Tensor]) -> list[float]:
        """The relative errors of the sampled layers by Wanda's masks with so many zeros. `weight`: from a layer's name
        to its dense weight [out, in]."""
        return [self.reference(name, weight(name), zeros[name]) for name in self.layers]

    def order(self) -> list[str]:
        """All layers of the target, the sampled ones first."""
        sampled = set(self.layers)
        return [*self.layers, *(layer.name for layer in self._bundle.layers if layer.name not in sampled)]

    def error(self, name: str, weight: Tensor, mask: Tensor, updated: Tensor | None = None) -> float:
        """The relative error of a sampled layer; `weight` dense [out, in], `mask` [out, in] bool, True = keep,
        `updated` [out, in] the new weight, or None if the mask is all that changes."""
        dense = weight.float()
        hessian, sensitivity = self._bundle.hessian(name), self._bundle.output_sensitivity(name)
        hessian, sensitivity = hessian.to(dense.device), sensitivity.to(dense.device)
        if name not in self._whole:
            self._whole[name] = _energy(dense, hessian, sensitivity)
        whole = self._whole[name]
        if whole <= 0:
            return 0.0
        lost = masked_weight(dense, ~mask) if updated is None else dense - updated.float()
        return _energy(lost, hessian, sensitivity) / whole

    def reference(self, name: str, weight: Tensor, zeros: int) -> float:
        """The relative error of a sampled layer, whose dense weight is `weight` [out, in], by Wanda's mask."""
        if (name, zeros) not in self._references:
            score = wanda(self._bundle.view(name, 0.0)).to(weight.device)
            self._references[name, zeros] = self.error(name, weight, make_mask(score, weight, zeros, "row"))
        return self._references[name, zeros]


def _energy(weight: Tensor, hessian: Tensor, sensitivity: Tensor) -> float:
    """sum_r s_r w_r H w_r^T, for weight [out, in], hessian [in, in] and sensitivity [out]."""
    return float((weight @ hessian).mul_(weight).sum(1) @ sensitivity)
