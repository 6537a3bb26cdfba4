"""One candidate in several processes that score its layers side by side.

Within a layer threads of one process gain little: most operations on it are short, and while the trusted side computes
too, one thread of a team keeps the others waiting at each of them. Processes wait for nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autoprune.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from torch import Tensor


class Team:
    """See base.Session. The first member decides on groups and densities; layers go round, one to each member."""

    def __init__(self, members: Sequence[WorkerSession]) -> None:
        self._members = members
        first = members[0]
        self.group, self.unit, self.has_allocate = first.group, first.unit, first.has_allocate
        self.repeats: bool | None = None

    @property
    def diagnostics(self) -> str:
        """What the first member printed that printed anything: they say the same, of other layers."""
        return next((member.diagnostics for member in self._members if member.diagnostics), "")

    @property
    def memory(self) -> int | None:
        """The members' growth together, though they may have been largest at different times."""
        grown = [member.memory for member in self._members]
        return None if None in grown else sum(each for each in grown if each is not None)

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """See base.Session."""
        return self._members[0].allocate(units, sparsity)

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """See base.Session. In the order of `layers`, so that what fails first in it is what is reported."""
        names = list(self._members[0].layers) if layers is None else list(layers)
        count = len(self._members)
        parts = [member.scores(sparsity, names[place::count], pattern) for place, member in enumerate(self._members)]
        for place in range(len(names)):
            yield next(parts[place % count])
        for part in parts:  # each asks for its first layer once more
            next(part, None)
        said = [member.repeats for member in self._members if member.repeats is not None]
        self.repeats = all(said) if said else None
