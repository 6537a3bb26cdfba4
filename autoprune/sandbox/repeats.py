"""The repeatability check of candidates: some questions are repeated in a fresh process and compared bit by bit.

The layers are drawn by the operating system's random numbers after all answers, so that candidates cannot predict them.
Scores that are a function of the layer always pass. Scores that depend on counters, the order of layers, a process' age
or addresses, a clock, random numbers, or uninitialised memory differ in a process that scores a single layer.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoprune.errors import CandidateFailure

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.sandbox.session import WorkerSession

ASKED_AGAIN = 6
"""Layers per process. If half of a candidate's layers are not repeatable, two processes detect it with probability 0.97
in each measurement."""
_CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class _Scored:
    """The last question on a layer, and the SHA-256 of its scores."""

    sparsity: float
    pattern: str
    digest: bytes


class Answers:
    """The answers of a candidate so far, by digest."""

    def __init__(self) -> None:
        self._scores: dict[str, _Scored] = {}
        self._allocation: tuple[Sequence[Mapping[str, Any]], float, list[float]] | None = None

    @property
    def any(self) -> bool:
        """Whether there are answers to check."""
        return bool(self._scores) or self._allocation is not None

    def scored(self, name: str, sparsity: float, pattern: str, scores: "Tensor") -> None:
        """Record the scores of a layer."""
        self._scores[name] = _Scored(sparsity, pattern, _digest(scores))

    def allocated(self, units: Sequence[Mapping[str, Any]], sparsity: float, densities: list[float]) -> None:
        """Record an allocation."""
        self._allocation = units, sparsity, densities

    def come_back(self, fresh: "WorkerSession") -> bool:
        """Whether another process with the same candidate gives the same answers; False if it fails."""
        chosen = _CHANCE.sample(list(self._scores), min(ASKED_AGAIN, len(self._scores)))
        try:
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


def _digest(scores: "Tensor") -> bytes:
    return hashlib.sha256(scores.numpy().data.cast("B")).digest()
