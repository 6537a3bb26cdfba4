"""The exceptions of the package. The message of each is one line for the user; `exit_code` is that of the command."""

from typing import Any


class AutoPruneError(Exception):
    """Something failed at run time. The message says what failed, on which input, and what to do. Exit code 1."""

    exit_code = 1


class UsageError(AutoPruneError):
    """The user's input cannot be used (a missing model, a sparsity of 1.2, an unknown key). Exit code 2."""

    exit_code = 2


class DownloadError(AutoPruneError):
    """A file could not be fetched, stored or verified. Nothing half-written is left in the cache."""


class SandboxUnavailable(AutoPruneError):
    """The machine lacks what the requested sandbox needs; candidates are never run without one."""


class SandboxMissing(SandboxUnavailable):
    """The requested sandbox does not exist on this machine, which is known before anything runs. Exit code 2."""

    exit_code = 2


class OutputLost(AutoPruneError):
    """Standard output cannot be written, for example because its disk is full."""


class ChatError(AutoPruneError):
    """The chat model cannot be used (refused key, endpoint down, no server)."""


class RunPaused(AutoPruneError):
    """The run stopped where it can be resumed, waiting for an approval or for an endpoint. Exit code 3."""

    exit_code = 3


class CandidateFailure(Exception):
    """A candidate failed: a result to record, never an error of the program.

    Args:
        stage: screen, start, load, allocate, score, refine, update, check or measure.
        reason: contract, timeout, memory, exception, shape, dtype, not-finite, forbidden, crashed, protocol, duplicate,
            layer-error, raced-out or not-repeatable.
        message: one line for the user and for the proposer.
        diagnostics: the candidate's output, bounded.

    `progress`: how far the candidate had got and the seconds of its parts, where its sandbox knows; the message of a
    timeout says it already. It can be pickled, since candidates may be measured by other processes.
    """

    def __init__(self, stage: str, reason: str, message: str, diagnostics: str = "") -> None:
        super().__init__(f"{stage}: {reason}: {message}")
        self.stage = stage
        self.reason = reason
        self.message = message
        self.diagnostics = diagnostics
        self.progress = ""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default pickle would call the constructor with `args`, which holds the joined message only.
        return _restored, (type(self), self.args, vars(self))


def _restored(kind: type[CandidateFailure], words: tuple[Any, ...], facts: dict[str, Any]) -> CandidateFailure:
    failure = kind.__new__(kind, *words)
    vars(failure).update(facts)
    return failure


def message_of(error: BaseException | None) -> str:
    """The whole message of an error on one line."""
    return " ".join(str(error).split())


def first_line(error: BaseException, longest: int = 300) -> str:
    """The first line of another library's error message, or the name of its type where it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:longest]


class BudgetSpent(Exception):
    """A limit was reached while a candidate was in progress: its slot ends, then the run."""

    reason = "budget"


class NotRecorded(BudgetSpent):
    """The recording that is replayed holds no more proposals."""

    reason = "recording"
