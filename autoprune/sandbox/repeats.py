"""The repeatability check of candidates: some questions are repeated in a fresh process and compared bit by bit.

The layers are drawn by the operating system's random numbers after all answers, so that candidates cannot predict them.
Scores that are a function of the layer always pass. Scores that depend on counters, the order of layers, a process' age
or addresses, a clock, random numbers, or uninitialised memory differ in a process that scores a single layer. Edits
(refined masks and updated weights) are repeated from the mask that the candidate was given, without its scores.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import LayerEdit

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.pruning.structure_view import StructureSet
    from autoprune.sandbox.session import WorkerSession

ASKED_AGAIN = 6
"""Layers per process. If half of a candidate's layers are not repeatable, two processes detect it with probability 0.97
in each measurement."""
EDITS_KEPT = 2 * ASKED_AGAIN
"""Edits whose masks are kept, a random sample of all; the candidate cannot know which."""
_CHANCE = random.SystemRandom()
T = TypeVar("T")


@dataclass(frozen=True)
class _Scored:
    """The last question on a layer, and the SHA-256 of its scores."""

    sparsity: float
    pattern: str
    digest: bytes


@dataclass(frozen=True)
class _Edited:
    """A question on the edit of a layer, with the given mask as packed bits, and the SHA-256 of the answer."""

    name: str
    sparsity: float
    pattern: str
    shape: tuple[int, ...]
    bits: bytes
    digest: bytes

    @property
    def mask(self) -> "Tensor":
        import torch

        count = self.shape[0] * self.shape[1]
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count)
        return torch.from_numpy(bits).bool().view(self.shape)


class Answers:
    """The answers of a candidate so far, by digest."""

    def __init__(self) -> None:
        self._scores: dict[str, _Scored] = {}
        self._edits: list[_Edited] = []
        self._edits_seen = 0
        self._allocation: tuple[Sequence[Mapping[str, Any]], float, list[float]] | None = None
        self._ranked: list[tuple[StructureSet, bytes]] = []
        self._updated: list[tuple[StructureSet, Tensor, bytes]] = []

    @property
    def any(self) -> bool:
        return bool(self._scores or self._ranked) or self._allocation is not None

    def scored(self, name: str, sparsity: float, pattern: str, scores: "Tensor") -> None:
        self._scores[name] = _Scored(sparsity, pattern, _digest(scores))

    def edited(self, sparsity: float, pattern: str, given: "Tensor", edit: LayerEdit) -> None:
        """Record the edit of a layer by the mask that was given, or not: EDITS_KEPT of all are kept (reservoir)."""
        self._edits_seen += 1
        place = _CHANCE.randrange(self._edits_seen)
        if len(self._edits) == EDITS_KEPT and place >= EDITS_KEPT:
            return
        bits = np.packbits(given.numpy()).tobytes()
        record = _Edited(edit.name, sparsity, pattern, tuple(given.shape), bits, _edit_digest(edit))
        if len(self._edits) < EDITS_KEPT:
            self._edits.append(record)
        else:
            self._edits[place] = record

    def allocated(self, units: Sequence[Mapping[str, Any]], sparsity: float, densities: list[float]) -> None:
        self._allocation = units, sparsity, densities

    def ranked(self, structures: "StructureSet", importances: "Tensor") -> None:
        self._ranked.append((structures, _digest(importances)))

    def updated(self, structures: "StructureSet", kept: "Tensor", weight: "Tensor") -> None:
        self._updated.append((structures, kept, _bits_digest(weight)))

    def come_back(self, fresh: "WorkerSession") -> bool:
        """Whether another process with the same candidate gives the same answers; False if it fails."""
        chosen = _some(list(self._scores))
        try:
            # Edits first, so that one that needs what its score left behind fails.
            for edit in _some(self._edits):
                if _edit_digest(fresh.edit(edit.name, edit.sparsity, edit.mask, edit.pattern)) != edit.digest:
                    return False
            for structures, kept, digest in _some(self._updated):
                if _bits_digest(fresh.consumer(structures, kept)) != digest:
                    return False
            for structures, digest in _some(self._ranked):
                if [_digest(importances) for importances in fresh.importances([structures])] != [digest]:
                    return False
            for name in chosen:
                before = self._scores[name]
                for _, scores in fresh.scores({name: before.sparsity}, [name], before.pattern):
                    if _digest(scores) != before.digest:
                        return False
            if self._allocation is not None:
                units, sparsity, densities = self._allocation
                return fresh.allocate(units, sparsity) == densities
        except CandidateFailure:
            return False
        return True


def _some(questions: Sequence[T]) -> list[T]:
    """A random sample of the questions that are repeated."""
    return _CHANCE.sample(questions, min(ASKED_AGAIN, len(questions)))


def _digest(scores: "Tensor") -> bytes:
    return hashlib.sha256(scores.numpy().data.cast("B")).digest()


def _edit_digest(edit: LayerEdit) -> bytes:
    """Of the mask and of the bits of the weight, in the model's dtype."""
    return _bits_digest(*(tensor for tensor in (edit.mask, edit.weight) if tensor is not None))


def _bits_digest(*tensors: "Tensor") -> bytes:
    import torch

    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data.cast("B"))
    return digest.digest()
