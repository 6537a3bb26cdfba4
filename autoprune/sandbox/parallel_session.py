"""One candidate in one or several processes that score its layers in parallel, and fresh ones to check repeatability.

Threads within a layer gain little: most operations are short, and a busy core delays all threads at each of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import LayerEdit, MakeMask
from autoprune.sandbox.repeats import Answers
from autoprune.sandbox.session import WorkerSession
from autoprune.sandbox.timings import ReportedTimings

if TYPE_CHECKING:
    from torch import Tensor

    from autoprune.pruning.structure_view import StructureSet

PROCESSES = 2
"""Maximum of fresh processes for a repeatability check."""
SHOWN = 0.05
"""Least seconds that a profile shows."""

T = TypeVar("T")
Fresh = Callable[[], AbstractContextManager[WorkerSession]]
"""Opens the same candidate in a fresh process. Raises CandidateFailure."""


class ParallelSession:
    """See layers.Session. The first member provides group and densities; layers are distributed in turn."""

    def __init__(self, members: Sequence[WorkerSession], fresh: Fresh) -> None:
        self._members = members
        self._fresh = fresh
        self._answers = Answers()
        first = members[0]
        self.group, self.unit, self.has_allocate = first.group, first.unit, first.has_allocate
        self.edits_defined = first.edits_defined
        self._done, self._asked, self._what = 0, len(first.layers), "layers"

    @property
    def diagnostics(self) -> str:
        """The output of the first member that has any, since all print the same for different layers."""
        return next((member.diagnostics for member in self._members if member.diagnostics), "")

    @property
    def memory(self) -> int | None:
        """The sum of the members' peak growths, an upper bound."""
        grown = [member.memory for member in self._members]
        return None if None in grown else sum(growth for growth in grown if growth is not None)

    @property
    def claims(self) -> ReportedTimings:
        """The sums of the timings that the members report."""
        return sum((member.claims for member in self._members), ReportedTimings())

    @contextmanager
    def telling(self) -> Iterator["ParallelSession"]:
        """This session; a failure in this context says how far the candidate had got."""
        try:
            yield self
        except CandidateFailure as failure:
            if failure.reason == "timeout":
                failure.message += f"; {self._progress()}"
            else:
                failure.progress = self._progress()
            raise

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        densities = self._members[0].allocate(units, sparsity)
        self._answers.allocated(units, sparsity, densities)
        return densities

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """See layers.Session. In the order of `layers`, so that the first failure in this order is reported."""
        names = list(self._members[0].layers) if layers is None else list(layers)
        parts = [member.scores(sparsity, share, pattern) for member, share in self._shared(names)]
        for name, tensor in self._in_turn(parts, len(names)):
            self._answers.scored(name, sparsity[name], pattern, tensor)
            yield name, tensor

    def edits(
        self,
        sparsity: Mapping[str, float],
        make_mask: MakeMask,
        layers: Sequence[str] | None = None,
        pattern: str = "none",
    ) -> Iterator[LayerEdit]:
        given: dict[str, Tensor] = {}

        def masked(name: str, score: "Tensor") -> "Tensor":
            self._answers.scored(name, sparsity[name], pattern, score)
            given[name] = make_mask(name, score)
            return given[name]

        names = list(self._members[0].layers) if layers is None else list(layers)
        parts = [member.edits(sparsity, masked, share, pattern) for member, share in self._shared(names)]
        for edit in self._in_turn(parts, len(names)):
            self._answers.edited(sparsity[edit.name], pattern, given.pop(edit.name), edit)
            yield edit

    def importances(self, sets: Sequence["StructureSet"]) -> Iterator["Tensor"]:
        count, self._what = len(self._members), "sets of structures"
        parts = [member.importances(sets[place::count]) for place, member in enumerate(self._members)]
        for structures, tensor in zip(sets, self._in_turn(parts, len(sets)), strict=True):
            self._answers.ranked(structures, tensor)
            yield tensor

    def consumer(self, structures: "StructureSet", kept: "Tensor") -> "Tensor":
        member = self._members[structures.block % len(self._members)]
        weight = member.consumer(structures, kept)
        self._answers.updated(structures, kept, weight)
        return weight

    def _shared(self, names: Sequence[str]) -> Iterator[tuple[WorkerSession, Sequence[str]]]:
        """Each member with its share of the layers."""
        count = len(self._members)
        return ((member, names[place::count]) for place, member in enumerate(self._members))

    def _in_turn(self, parts: Sequence[Iterator[T]], count: int) -> Iterator[T]:
        """The members' results in the order of the layers or sets of structures."""
        self._done, self._asked = 0, count
        for place in range(count):
            result = next(parts[place % len(parts)])
            self._done += 1
            yield result

    def _progress(self) -> str:
        """The number of answers of the last request, and the seconds by part and by role."""
        claims = self.claims
        seconds = [_listed("part", claims.by_part), _listed("kind of layer", claims.by_role)]
        profile = "; ".join(filter(None, seconds))
        return f"{self._done} of {self._asked} {self._what} were done by then{f' ({profile})' if profile else ''}"

    def repeats(self) -> bool | None:
        """See layers.Session. Since a process can fail for other reasons than the candidate, a second one is tried."""
        if not self._answers.any:
            return None
        return any(self._come_back() for _ in range(PROCESSES))

    def _come_back(self) -> bool:
        try:
            with self._fresh() as session:
                return self._answers.come_back(session)
        except CandidateFailure:
            return False


def _listed(by: str, seconds: Mapping[str, float]) -> str:
    """The largest seconds first, without those that round to nothing."""
    shown = [(name, own) for name, own in sorted(seconds.items(), key=lambda item: -item[1]) if own >= SHOWN]
    return f"seconds by {by}: {', '.join(f'{name} {own:.1f}' for name, own in shown)}" if shown else ""
