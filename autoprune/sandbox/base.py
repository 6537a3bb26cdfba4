"""The interface of sandboxes: open a candidate's source on a bundle, and get scores or a CandidateFailure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Session(Protocol):
    """One candidate, loaded in processes of its own. Not thread-safe. Ends with its context manager."""

    group: str
    """What the candidate's scores are compared within: one of contract.GROUPS."""
    unit: str | None
    """The units of `allocate`: one of contract.UNITS; None if the source does not specify it."""
    has_allocate: bool
    """Whether the source defines `allocate`."""

    @property
    def diagnostics(self) -> str:
        """The candidate's output so far, bounded and without control characters. Never used as a measurement."""

    @property
    def memory(self) -> int | None:
        """Peak growth of the candidate's processes in bytes, measured by the kernel (memory.py); None if unknown."""

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """The candidate's raw densities, one finite number per unit, not yet projected onto the budget.

        Raises CandidateFailure (stage "allocate").
        """

    def scores(
        self, sparsity: Mapping[str, float], layers: Sequence[str] | None = None, pattern: str = "none"
    ) -> Iterator[tuple[str, "Tensor"]]:
        """Score layer by layer: (name, float32 [out, in]), each a copy, checked for shape and finiteness.

        `sparsity`: of every requested layer's unit; `layers`: by default all of the bundle, in its order; `pattern`:
        the N:M pattern of the masks, or none. Raises CandidateFailure (stage "score" or "check"), which ends the
        session.
        """

    def repeats(self) -> bool | None:
        """Repeat a random sample of the questions in a fresh process: whether all answers are equal bit by bit.

        None if there was no question. A candidate with False is not deterministic or depends on earlier calls, and
        cannot win.
        """


class Sandbox(Protocol):
    """Where candidates run. Several sessions may be open from different threads."""

    name: str

    def open(self, source: str, bundle: Path, times: int = 1) -> AbstractContextManager[Session]:
        """Load a candidate's source with access to the bundle. Raises CandidateFailure.

        `times`: a multiple of the configured seconds, for candidates that score repeatedly.
        """

    def wait_until_warm(self) -> None:
        """Wait until a worker has imported torch. Raises SandboxUnavailable."""

    def close(self) -> None:
        """End all processes of this sandbox."""
