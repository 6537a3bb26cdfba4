"""Masks of measured algorithms, packed in memory, so that a further split is measured without scoring again.

Dense statistics of one calibration sample determine the masks of an algorithm that updates no weights: the confirmation
on the report split would otherwise compute again what the search has computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoprune.evaluation.algorithms import Algorithm
from autoprune.evaluation.recipe import Recipe
from autoprune.leagues import MASK_ONLY
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.runs.measurement import Measurement

LIMIT = 256 * 2**20
"""Bytes of packed masks that are kept in all, an eighth of a byte per weight: about 20 models with 100 million."""

OF_SCORING = ("repeats", "diagnostics", "memory_bytes")
Key = str
Bits = Mapping[str, "np.ndarray[tuple[int], np.dtype[np.uint8]]"]


@dataclass(frozen=True)
class Kept:
    """The masks of all layers, packed, the zeros that they were made for, and the first measurement of them."""

    zeros: LayerZeros
    bits: Bits
    measured: Measurement

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(bits.nbytes for bits in self.bits.values())

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of a measurement that scoring determines: what the candidate printed and took, and whether it is
        repeatable."""
        return self.measured.model_dump(include=set(OF_SCORING))

    def mask(self, name: str, weight: Tensor) -> Tensor:
        """The mask [out, in] of a layer, bool, on the device of its weight."""
        flat = np.unpackbits(self.bits[name], count=weight.numel()).view(np.bool_)
        return torch.from_numpy(flat).view(weight.shape).to(weight.device)


def packed(mask: Tensor) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """A mask [out, in], bool, with eight weights per byte."""
    return np.packbits(mask.cpu().numpy().reshape(-1))


def key_of(algorithm: Algorithm, recipe: Recipe) -> Key | None:
    """What determines the masks on dense statistics; None if they are not to be kept: an algorithm without identity,
    statistics behind pruned blocks, or new weights beside the masks."""
    if algorithm.identity is None or recipe.statistics != "dense" or recipe.league(algorithm) != MASK_ONLY:
        return None
    return f"{algorithm.identity}\n{recipe!r}"


class KeptMasks:
    """Masks by key, up to `limit` bytes; the ones with the highest perplexity are dropped first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: dict[Key, Kept] = {}

    def fits(self, weights: int) -> bool:
        """Whether the masks of a model with so many prunable weights can be kept at all."""
        return weights <= 8 * self._limit

    def find(self, key: Key | None) -> Kept | None:
        return None if key is None else self._kept.get(key)

    def keep(self, key: Key, kept: Kept) -> None:
        """Add masks, in place of worse ones if there is no room."""
        self._kept[key] = kept
        while sum(each.size for each in self._kept.values()) > self._limit:
            del self._kept[max(self._kept, key=lambda each: self._kept[each].measured.perplexity)]
