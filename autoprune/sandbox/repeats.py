"""Whether a candidate's answers come back: a fresh process is asked again for some of them, and compared bit by bit.

Which layers is drawn by the operating system's own chance after all answers are there, so no candidate can know. The
verdict still depends on the candidate alone: one that is a function of its layer always passes. Answers that depend on
counters, the order of layers, a process' age or addresses, a clock, chance, or memory that nobody has written do not
come back from a process that is asked for one layer by itself.
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
"""Layers. Where half of a candidate's layers do not come back, two processes (`team`) that are asked for so many find
it 97 times in 100, at each measurement."""
_CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class _Scored:
    """A layer's last question and the SHA-256 of what came."""

    sparsity: float
    pattern: str
    digest: bytes


class Answers:
    """What a candidate has answered so far, by digest."""

    def __init__(self) -> None:
        self._scores: dict[str, _Scored] = {}
        self._allocation: tuple[Sequence[Mapping[str, Any]], float, list[float]] | None = None

    @property
    def any(self) -> bool:
        """Whether there is something to be asked again."""
        return bool(self._scores) or self._allocation is not None

    def scored(self, name: str, sparsity: float, pattern: str, scores: "Tensor") -> None:
        """Note a layer's scores."""
        self._scores[name] = _Scored(sparsity, pattern, _digest(scores))

    def allocated(self, units: Sequence[Mapping[str, Any]], sparsity: float, densities: list[float]) -> None:
        """Note an allocation."""
        self._allocation = units, sparsity, densities

    def come_back(self, fresh: "WorkerSession") -> bool:
        """Whether another process with the same candidate gives the same answers. One that fails there gives none."""
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
