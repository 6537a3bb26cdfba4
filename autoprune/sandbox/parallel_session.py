"""One candidate in its processes: one, or several that score its layers side by side, and a fresh one to ask again.

Within a layer threads of one process gain little: most operations on it are short, and while the trusted side computes
too, one thread of a team keeps the others waiting at each of them. Processes wait for nobody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from autoprune.errors import CandidateFailure
from autoprune.sandbox.repeats import Answers
from autoprune.sandbox.reported_timings import ReportedTimings
from autoprune.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from torch import Tensor

PROCESSES = 2
"""Fresh ones that are asked again at most."""

Fresh = Callable[[], AbstractContextManager[WorkerSession]]
"""Opens the same candidate in a process that has seen nothing yet. Raises CandidateFailure."""


class ParallelSession:
    """See base.Session. The first member decides on groups and densities; layers go round, one to each member."""

    def __init__(self, members: Sequence[WorkerSession], fresh: Fresh) -> None:
        self._members = members
        self._fresh = fresh
        self._answers = Answers()
        first = members[0]
        self.group, self.unit, self.has_allocate = first.group, first.unit, first.has_allocate

    @property
    def diagnostics(self) -> str:
        """What the first member printed that printed anything: they say the same, of other layers."""
        return next((member.diagnostics for member in self._members if member.diagnostics), "")

    @property
    def memory(self) -> int | None:
        """The members' growth together, though they may have been largest at different times."""
        grown = [member.memory for member in self._members]
        return None if None in grown else sum(growth for growth in grown if growth is not None)

    @property
    def claims(self) -> ReportedTimings:
        """What the members say of their time, together."""
        claims = [member.claims for member in self._members]
        return ReportedTimings(
            sum(claim.own for claim in claims),
            sum(claim.own_processor for claim in claims),
            sum(claim.processor for claim in claims),
            {role: sum(claim.by_role.get(role, 0.0) for claim in claims) for claim in claims for role in claim.by_role},
        )

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """See base.Session."""
        densities = self._members[0].allocate(units, sparsity)
        self._answers.allocated(units, sparsity, densities)
        return densities

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """See base.Session. In the order of `layers`, so that what fails first in it is what is reported."""
        names = list(self._members[0].layers) if layers is None else list(layers)
        count = len(self._members)
        parts = [member.scores(sparsity, names[place::count], pattern) for place, member in enumerate(self._members)]
        for place in range(len(names)):
            try:
                name, tensor = next(parts[place % count])
            except CandidateFailure as failure:
                if failure.reason == "timeout":
                    failure.message += f"; {self._progress(place, len(names))}"
                raise
            self._answers.scored(name, sparsity[name], pattern, tensor)
            yield name, tensor

    def _progress(self, scored: int, layers: int) -> str:
        """How far it came in its time, and what took it."""
        spent = sorted(self.claims.by_role.items(), key=lambda item: -item[1])
        seconds = ", ".join(f"{role} {own:.1f}" for role, own in spent)
        parts = f" (seconds by kind of layer: {seconds})" if seconds else ""
        return f"{scored} of {layers} layers were scored in it{parts}"

    def repeats(self) -> bool | None:
        """See base.Session. The verdict ends a candidate, and a process can fail for reasons that are not the
        candidate's, so what does not come back is asked of a second one."""
        if not self._answers.any:
            return None
        return any(self._come_back() for _ in range(PROCESSES))

    def _come_back(self) -> bool:
        try:
            with self._fresh() as session:
                return self._answers.come_back(session)
        except CandidateFailure:
            return False
