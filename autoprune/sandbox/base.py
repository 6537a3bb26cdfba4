"""The interface of sandboxes: open a candidate's source on a bundle, and get scores or a CandidateFailure."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autoprune.pruning.layers import LayerEdit, MakeMask

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
    edits_defined: frozenset[str]
    """Which of contract.EDITS the source defines, so that `edits` is to be called instead of `scores`."""

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

    def edits(
        self,
        sparsity: Mapping[str, float],
        make_mask: MakeMask,
        layers: Sequence[str] | None = None,
        pattern: str = "none",
    ) -> Iterator[LayerEdit]:
        """Score layer by layer, and let the candidate refine the mask and update the weight.

        `make_mask` makes a layer's mask from its scores, on the CPU; it is called in the order of `layers`, one or two
        layers ahead of what is yielded. Masks and weights are copies, checked as the contract says. Other arguments and
        failures are those of `scores`, with the stages "refine" and "update".
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


class Worker(Protocol):
    """A warm process that waits for a candidate, and its control from outside."""

    channel: socket.socket
    need_landlock: bool

    def overuse(self) -> tuple[str, str] | None:
        """(reason, message) if it exceeds a limit, checked from outside."""

    def ended(self) -> tuple[str, str]:
        """(reason, message) of its end, after its channel was closed."""

    def memory(self) -> int | None:
        """Peak growth in bytes, measured from outside; None if unknown."""

    def pause(self) -> None:
        """Suspend all its threads until `resume`."""

    def resume(self) -> None:
        """Continue after `pause`."""

    def close(self) -> None:
        """Kill it and free its resources. May be called twice."""
