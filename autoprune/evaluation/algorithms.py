"""What gives scores: a published formula, or a candidate in its sandbox, both asked in the same way."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.bundle import LayerInfo, LayerView
from autoprune.pruning.scores import Score, choose_score

ALWAYS_ASKED = 2
"""Openings of an algorithm after which it is asked again for certain."""

NOT_REPEATABLE = "not repeatable: asked again for single layers, a fresh process gave other scores"


class Readable(Protocol):
    """Weights and statistics of some layers: a `Bundle`, or those of one block on a walk."""

    layers: list[LayerInfo]

    @property
    def path(self) -> Path:
        """A bundle directory with the same content, for those who read files only."""

    def view(self, name: str, sparsity: float, pattern: str = "none") -> LayerView:
        """A layer as the candidate's contract describes it."""


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


class Repeated:
    """An algorithm that is asked again, before it is closed: `repeats` says whether its answers came back.

    On a walk it is opened for every block; later openings are asked again less and less often, by chance.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.name, self.needs = algorithm.name, algorithm.needs
        self.repeats: bool | None = None
        self._algorithm = algorithm
        self._opened = 0

    @contextmanager
    def open(self, readable: Readable) -> Iterator[Scoring]:
        """As the algorithm's own."""
        with self._algorithm.open(readable) as scoring:
            yield scoring
            self._opened += 1
            if random.SystemRandom().randrange(self._opened) < ALWAYS_ASKED:
                repeats = scoring.repeats()
                self.repeats = repeats if self.repeats in (None, True) else self.repeats
