"""What a sandbox is, for those who use one: open a candidate's source on a bundle, get scores or a CandidateFailure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Session(Protocol):
    """One candidate, loaded in processes of its own. Used by one thread. Ends with its context manager."""

    group: str
    """Within what the candidate's scores are compared: one of contract.GROUPS."""
    unit: str | None
    """What `allocate` gives a density to: one of contract.UNITS; None where the source does not say."""
    has_allocate: bool
    """Whether the source defines `allocate`."""

    @property
    def diagnostics(self) -> str:
        """What the candidate has printed so far, bounded and free of control characters. Never a measurement."""

    @property
    def memory(self) -> int | None:
        """By how many bytes the candidate's processes have grown at most so far, as the kernel counts it (memory.py),
        measured from outside; None when that cannot be known."""

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """The candidate's raw densities, one finite number per unit, not yet projected onto the budget.

        Raises CandidateFailure (stage "allocate").
        """

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """Score layer by layer: (name, float32 [out, in]), each a trusted copy, checked for shape and finiteness.

        `sparsity` has the sparsity of every layer asked for; `layers` defaults to the bundle's, in its order;
        `pattern` is the N:M pattern that the masks will keep to, or none.
        Raises CandidateFailure (stage "score" or "check"); the session is then over.
        """

    def repeats(self) -> bool | None:
        """Ask a fresh process for some of the answers again, chosen at random: whether all were the same, bit by bit.

        None where nothing was asked before. A candidate for which it is False is not deterministic, or its answers
        depend on others before them: its result may not come back, and it wins nothing.
        """


class Sandbox(Protocol):
    """Where candidates run. Several sessions may be open from different threads."""

    name: str

    def open(self, source: str, bundle: Path, times: int = 1) -> AbstractContextManager[Session]:
        """Load a candidate's source beside the bundle's weights and statistics. Raises CandidateFailure.

        `times`: as many times the settings' seconds, for one that is to score again and again.
        """

    def wait_until_warm(self) -> None:
        """Return when the next `open` finds a worker that has imported torch. Raises SandboxUnavailable."""

    def close(self) -> None:
        """End every process that this sandbox started."""
