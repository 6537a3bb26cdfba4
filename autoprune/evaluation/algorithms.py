"""What gives scores: a published formula, or a candidate in its sandbox, both asked in the same way."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.layers import Readable
from autoprune.pruning.scores import Score, choose_score

ALWAYS_ASKED = 2
"""Openings of an algorithm after which it is asked again for certain."""

NOT_REPEATABLE = "not repeatable: asked again for single layers, a fresh process gave other scores"


class Scoring(Protocol):
    """An algorithm opened on a readable; a sandbox's session is one."""

    group: str
    unit: str | None
    has_allocate: bool

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """Raw densities per unit, not yet on the budget."""

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, Tensor]]:
        """(layer name, score [out, in]), layer by layer; `sparsity` holds that of each layer's unit, `pattern` is what
        the masks will keep to."""

    def repeats(self) -> bool | None:
        """Whether the same answers come when they are asked for again; None where nobody needs to ask."""

    @property
    def diagnostics(self) -> str:
        """What it printed so far."""

    @property
    def memory(self) -> int | None:
        """By how many bytes its processes have grown at most so far; None where that is not known."""


class Algorithm(Protocol):
    """Something that scores. `needs`: the on-demand statistics that it reads (gradient, hessian)."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    def open(self, readable: Readable) -> AbstractContextManager[Scoring]: ...


@dataclass(frozen=True)
class Published:
    """A score of `pruning.scores`."""

    score: Score

    @staticmethod
    def named(name: str) -> "Published":
        """By `choose_score`: NAME or NAME@GROUP. Raises UsageError for an unknown one."""
        return Published(choose_score(name))

    @property
    def name(self) -> str:
        """The score's name."""
        return self.score.name

    @property
    def needs(self) -> tuple[str, ...]:
        """The on-demand statistics that the formula reads."""
        return self.score.needs

    @contextmanager
    def open(self, readable: Readable) -> Iterator[Scoring]:
        """Scores are computed here, in this process: the formulas are ours."""
        yield _Here(self.score, readable)


class _Here:
    unit: str | None = None
    has_allocate = False
    diagnostics = ""
    memory: int | None = None

    def __init__(self, score: Score, readable: Readable) -> None:
        self.group = score.group
        self._score = score
        self._readable = readable

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        raise UsageError(f"{self._score.name} is a published score and brings no allocation of its own")

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, Tensor]]:
        for name in layers or [layer.name for layer in self._readable.layers]:
            yield name, self._score(self._readable.view(name, sparsity[name], pattern))

    def repeats(self) -> bool | None:
        return None


class Opened:
    """An algorithm that is open on dense statistics, or is opened for each block of a walk.

    `facts`: what is known of it beside its scores, as fields of a measurement. Later blocks of a walk are asked again
    whether their scores come back less and less often, by chance.
    """

    def __init__(self, algorithm: Algorithm, session: Scoring | None = None) -> None:
        self.session = session
        self._algorithm = algorithm
        self._blocks = 0
        self._repeats: bool | None = None

    @contextmanager
    def on(self, block: Readable) -> Iterator[Scoring]:
        """Scores of one block: of the open session, or of one that is opened on the block."""
        if self.session is not None:
            yield self.session
            return
        with self._algorithm.open(block) as scoring:
            yield scoring
            self._blocks += 1
            if random.SystemRandom().randrange(self._blocks) < ALWAYS_ASKED and self._repeats is not False:
                repeats = scoring.repeats()
                self._repeats = self._repeats if repeats is None else repeats

    def repeats(self) -> bool | None:
        """Whether all answers that were asked for again came back; None where nobody asked."""
        return self.session.repeats() if self.session is not None else self._repeats

    @property
    def facts(self) -> dict[str, Any]:
        """`diagnostics` and `memory_bytes`, of an open session."""
        if self.session is None:
            return {}
        return {"diagnostics": self.session.diagnostics, "memory_bytes": self.session.memory}
