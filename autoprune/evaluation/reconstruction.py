"""How well a few decoder blocks keep their outputs: what tells most of a candidate for least.

The relative reconstruction error of a layer is ||W X - W' X||^2 / ||W X||^2 on the calibration inputs X, by its
Hessian H = X X^T / tokens: tr(D H D^T) / tr(W H W^T) with D = W - W'. It is what layer-wise pruning minimises
(SparseGPT, Frantar and Alistarh 2023, eq. 1). How it ranks algorithms is what `benchmarks/ladder.py` measures.
"""

from collections.abc import Sequence

from torch import Tensor

from autoprune.pruning.bundle import Bundle, LayerInfo
from autoprune.pruning.masks import masked_weight

BLOCKS = 5


def sampled_blocks(layers: Sequence[LayerInfo]) -> list[int]:
    """The numbers of BLOCKS decoder blocks in the middle of as many equal parts of the model; all, if it has fewer."""
    blocks = sorted({layer.block for layer in layers})
    if len(blocks) <= BLOCKS:
        return blocks
    return [blocks[(2 * part + 1) * len(blocks) // (2 * BLOCKS)] for part in range(BLOCKS)]


class Reconstruction:
    """Of the sampled blocks of one target. `bundle`: with the Hessians of these blocks."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        blocks = sampled_blocks(bundle.layers)
        sampled = sorted((each for each in bundle.layers if each.block in blocks), key=lambda layer: layer.size)
        self.layers = [layer.name for layer in sampled]
        """Names, the smallest first: for what they cost they tell as much."""
        self._whole: dict[str, float] = {}

    def order(self) -> list[str]:
        """All layers of the target, the sampled ones first."""
        sampled = set(self.layers)
        return [*self.layers, *(layer.name for layer in self._bundle.layers if layer.name not in sampled)]

    def error(self, name: str, weight: Tensor, mask: Tensor) -> float:
        """The relative error of one of the sampled layers; `weight` dense [out, in], `mask` [out, in] bool, kept."""
        dense = weight.float()
        hessian = self._bundle.hessian(name).to(dense.device)
        if name not in self._whole:
            self._whole[name] = _energy(dense, hessian)
        whole = self._whole[name]
        return _energy(masked_weight(dense, ~mask), hessian) / whole if whole > 0 else 0.0


def _energy(weight: Tensor, hessian: Tensor) -> float:
    """tr(W H W^T), for [out, in] and [in, in]."""
    return float((weight @ hessian).mul_(weight).sum())
