"""What is removed, and the algorithms that rank structures: published ones, and candidates in their sandbox."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.leagues import COMPENSATED, STRUCTURED, League
from autoprune.pruning.layers import Readable
from autoprune.pruning.shapes import STRUCTURES
from autoprune.pruning.structure_view import StructureSet
from autoprune.pruning.structures.spec import BLOCK, COMPENSATIONS, Structures, StructureSpec
from autoprune.pruning.structures.table import spec_of, that_rank


class Ranking(Protocol):
    """An opened algorithm that ranks structures. See layers.Session, which a candidate's own is."""

    def importances(self, sets: Sequence[StructureSet]) -> Iterator[Tensor]: ...

    def consumer(self, structures: StructureSet, kept: Tensor) -> Tensor: ...

    def repeats(self) -> bool | None: ...

    @property
    def diagnostics(self) -> str: ...

    @property
    def memory(self) -> int | None: ...


Held = Callable[[StructureSet], Structures]
"""Reads the trusted form of some structures."""


class RanksStructures(Protocol):
    """An algorithm that ranks structures.

    `ranks`: the kinds; `needs`: the on-demand statistics that it reads; `reads_influence`: that of blocks as well;
    `updates`: whether it computes new weights of consumers; `spec`: of a published method; `found`: the found functions
    that it holds.
    """

    @property
    def name(self) -> str: ...

    @property
    def ranks(self) -> tuple[str, ...]: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def reads_influence(self) -> bool: ...

    @property
    def updates(self) -> bool: ...

    @property
    def spec(self) -> StructureSpec | None: ...

    @property
    def found(self) -> tuple[str, ...]: ...

    def rank(self, readable: Readable, held: Held) -> AbstractContextManager[Ranking]:
        """Open it on weights and statistics. Raises CandidateFailure."""


@dataclass(frozen=True)
class PublishedStructured:
    """A method of `pruning.structures`, computed in this process. Raises UsageError for an unknown name."""

    name: str
    updates = False
    found = ()

    @property
    def spec(self) -> StructureSpec:
        return spec_of(self.name)

    @property
    def ranks(self) -> tuple[str, ...]:
        return self.spec.kinds

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(name for name in self.spec.reads if name != "influence")

    @property
    def reads_influence(self) -> bool:
        return "influence" in self.spec.reads

    @contextmanager
    def rank(self, readable: Readable, held: Held) -> Iterator[Ranking]:
        yield _PublishedRanking(self.spec, held)


class _PublishedRanking:
    diagnostics = ""
    memory: int | None = None

    def __init__(self, spec: StructureSpec, held: Held) -> None:
        self._spec = spec
        self._held = held

    def importances(self, sets: Sequence[StructureSet]) -> Iterator[Tensor]:
        assert self._spec.score is not None  # only blocks are chosen otherwise
        for structures in sets:
            yield self._spec.score(self._held(structures))

    def consumer(self, structures: StructureSet, kept: Tensor) -> Tensor:
        raise UsageError("a published method updates no weights itself")

    def repeats(self) -> bool | None:
        return None


@dataclass(frozen=True)
class StructuredRecipe:
    """What is removed, how it is chosen and compensated. `params`: the share of the decoder blocks' parameters;
    `algorithm`: the name of the method; `multiple`: of the FFN width."""

    structure: str
    params: float
    algorithm: str
    compensate: str = "none"
    multiple: int = 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of structures that are removed."""
        return STRUCTURES[self.structure]

    def check(self, algorithm: RanksStructures | None = None) -> RanksStructures:
        """The algorithm, by default the published method of the recipe's name. Raises UsageError if the parts of the
        recipe do not fit together."""
        if self.structure not in STRUCTURES:
            raise UsageError(f"{self.structure!r} is not one of {', '.join(STRUCTURES)}")
        if self.compensate not in COMPENSATIONS:
            raise UsageError(f"{self.compensate!r} is not one of {', '.join(COMPENSATIONS)}")
        algorithm = algorithm or PublishedStructured(self.algorithm)
        if not set(self.kinds) <= set(algorithm.ranks):
            those = "" if algorithm.spec is None else f"; these do: {', '.join(that_rank(*self.kinds))}"
            raise UsageError(f"{algorithm.name} does not rank what --structure {self.structure} removes{those}")
        if self.kinds == (BLOCK,) and self.compensate != "none":
            raise UsageError(f"removed blocks cannot be compensated; --structure depth takes no {self.compensate}")
        if self.kinds == (BLOCK,) and self.multiple != 1:
            raise UsageError("--structure depth keeps the FFN width, so it takes no --multiple")
        if algorithm.updates and self.compensate != "none":
            raise UsageError(f"{algorithm.name} has an update of its own; it takes no --compensate {self.compensate}")
        return algorithm

    def league(self, algorithm: RanksStructures) -> League:
        """Whether what is left is compensated, by the recipe or by the algorithm itself."""
        return STRUCTURED if self.compensate == "none" and not algorithm.updates else COMPENSATED
