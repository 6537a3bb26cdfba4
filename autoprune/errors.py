"""The exceptions a caller may meet, each carrying one line for the user and the exit code it ends with."""

from typing import Any


class AutoPruneError(Exception):
    """Something failed while running: one line that says what, with which input, and what to do. Exit code 1."""

    exit_code = 1


class UsageError(AutoPruneError):
    """The user's input cannot be used (a missing model, a sparsity of 1.2, an unknown key). Exit code 2."""

    exit_code = 2


class DownloadError(AutoPruneError):
    """A file could not be fetched, stored or verified. Nothing half-written is left in the cache."""


class SandboxUnavailable(AutoPruneError):
    """The machine lacks what the requested sandbox needs; candidates are never run without one."""


class SandboxMissing(SandboxUnavailable):
    """The machine has no such sandbox, as it may have no such device: known before anything runs. Exit code 2."""

    exit_code = 2


class OutputLost(AutoPruneError):
    """What is printed cannot be written: the disk behind standard output is full."""


class ChatError(AutoPruneError):
    """The chat model cannot be used (refused key, endpoint down, no server)."""


class RunPaused(AutoPruneError):
    """The run stopped where it can be resumed, waiting for an approval or for an endpoint. Exit code 3."""

    exit_code = 3


class CandidateFailure(Exception):
    """A candidate did not make it: a result to record, never an error of the program.

    `stage` is where (screen, start, load, allocate, score, check, measure), `reason` is what, as one word
    (contract, timeout, memory, exception, shape, dtype, not-finite, forbidden, crashed, protocol, duplicate,
    layer-error, raced-out, not-repeatable),
    `message` one line for people and for the proposer, `diagnostics` whatever the candidate printed (bounded).
    It can be pickled, since candidates may be measured by other processes.
    """

    def __init__(self, stage: str, reason: str, message: str, diagnostics: str = "") -> None:
        super().__init__(f"{stage}: {reason}: {message}")
        self.stage = stage
        self.reason = reason
        self.message = message
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[Any, ...]:
        # Left alone, it would be made anew from its `args`, which are not what the constructor takes.
        return _restored, (type(self), self.args, vars(self))


def _restored(kind: type[CandidateFailure], words: tuple[Any, ...], facts: dict[str, Any]) -> CandidateFailure:
    failure = kind.__new__(kind, *words)
    vars(failure).update(facts)
    return failure


class BudgetSpent(Exception):
    """A limit was reached in the middle of a candidate: the slot ends, then the run. `reason` is the outcome's."""

    reason = "budget"


class NotRecorded(BudgetSpent):
    """A recording that is replayed holds no proposal for a slot: what was recorded is spent."""

    reason = "recording"
