"""The common interface of algorithms: published formulas, and candidates in their sandbox."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.pruning.layers import LayerEdit, MakeMask, Readable, Session
from autoprune.pruning.scores import Score, choose_score
from autoprune.pruning.structure_view import StructureSet

ALWAYS_REPEATED = 2
"""Blocks of a walk whose scores are always checked for repeatability."""

NO_EDITS: frozenset[str] = frozenset()

NOT_REPEATABLE = "not repeatable: asked again, a fresh process gave other scores, masks, weights or densities"


class Algorithm(Protocol):
    """An algorithm that scores weights. `needs`: the on-demand statistics that it reads; `edits_defined`: which
    of `refine` and `update` it defines; `identity`: equal only for algorithms that give equal masks, None for one whose
    masks are not to be reused; `found`: the found functions that it holds; `ranks`: the kinds of structures if it ranks
    these instead, which no recipe for weights accepts."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str | None: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def edits_defined(self) -> frozenset[str]: ...

    @property
    def found(self) -> tuple[str, ...]: ...

    @property
    def ranks(self) -> tuple[str, ...]: ...

    def open(self, readable: Readable) -> AbstractContextManager[Session]: ...


@dataclass(frozen=True)
class Published:
    """A score of `pruning.scores`."""

    score: Score
    edits_defined = NO_EDITS
    found = ()
    ranks = ()

    @staticmethod
    def named(name: str) -> "Published":
        """The score NAME or NAME@GROUP. Raises UsageError for an unknown one."""
        return Published(choose_score(name))

    @property
    def name(self) -> str:
        return self.score.name

    @property
    def identity(self) -> str | None:
        return f"{self.score.name}@{self.score.group}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The on-demand statistics that the formula reads."""
        return self.score.needs

    @contextmanager
    def open(self, readable: Readable) -> Iterator[Session]:
        """Scores are computed in this process, since the formulas are trusted."""
        yield _PublishedSession(self.score, readable)


class _PublishedSession:
    unit: str | None = None
    has_allocate = False
    edits_defined = NO_EDITS
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

    def edits(
        self,
        sparsity: Mapping[str, float],
        make_mask: MakeMask,
        layers: Sequence[str] | None = None,
        pattern: str = "none",
    ) -> Iterator[LayerEdit]:
        raise UsageError(f"{self._score.name} is a published score and has no refine or update of its own")

    def importances(self, sets: Sequence[StructureSet]) -> Iterator[Tensor]:
        raise UsageError(f"{self._score.name} is a published score of weights and ranks no structures")

    def consumer(self, structures: StructureSet, kept: Tensor) -> Tensor:
        raise UsageError(f"{self._score.name} is a published score of weights and ranks no structures")

    def repeats(self) -> bool | None:
        return None


def session_edits(
    session: Session, sparsity: Mapping[str, float], make_mask: MakeMask, layers: Sequence[str], pattern: str
) -> Iterator[LayerEdit]:
    """The edits of an algorithm, which for one without a `refine` or an `update` are the masks of its scores."""
    if session.edits_defined:
        yield from session.edits(sparsity, make_mask, layers, pattern)
        return
    for name, score in session.scores(sparsity, layers, pattern):
        yield LayerEdit(name, make_mask(name, score), None)


class Opened:
    """An algorithm that is opened once on dense statistics, or for each block of a walk.

    On a walk, repeatability is checked for random blocks, less and less often.
    """

    def __init__(self, algorithm: Algorithm, session: Session | None = None) -> None:
        self.session = session
        self._algorithm = algorithm
        self._blocks = 0
        self._repeats: bool | None = None

    @contextmanager
    def on(self, block: Readable) -> Iterator[Session]:
        """The open session, or one that is opened on the block."""
        if self.session is not None:
            yield self.session
            return
        with self._algorithm.open(block) as session:
            yield session
            self._blocks += 1
            if random.SystemRandom().randrange(self._blocks) < ALWAYS_REPEATED and self._repeats is not False:
                repeats = session.repeats()
                self._repeats = self._repeats if repeats is None else repeats

    def repeats(self) -> bool | None:
        """Whether all repeated requests gave the same scores; None if there were none."""
        return self.session.repeats() if self.session is not None else self._repeats

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of a measurement that an open session knows: `diagnostics` and `memory_bytes`."""
        if self.session is None:
            return {}
        return {"diagnostics": self.session.diagnostics, "memory_bytes": self.session.memory}
