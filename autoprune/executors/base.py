"""What an executor is: it takes a candidate as plain data, and gives back what was measured of it."""

from dataclasses import dataclass
from typing import Protocol

from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement_cache import Facts, Known
from autoprune.evaluation.texts import Split
from autoprune.pruning.allocation.families import Setting


@dataclass(frozen=True)
class Job:
    """A candidate to be scored and measured, with all that this depends on beside the bench. It can be pickled.

    `pattern`: N:M or none. `tuned`: how SDSA was tuned for candidates without an `allocate`; None: as in the settings.
    """

    name: str
    source: str
    split: Split
    sparsity: float
    pattern: str = "none"
    tuned: Setting | None = None
    ladder: Ladder = EVERYTHING


class Executor(Protocol):
    """Scores and measures candidates on one target, with one calibration sample.

    Jobs may come from several threads. What comes of a job depends on the job alone: neither on where it runs, nor on
    what ran before it, nor on the order in which jobs end.
    """

    conditions: Facts
    """What of its own a measurement depends on, for the cache's key."""

    def measure(self, job: Job) -> Known:
        """The measurement, and what else is known of the candidate, as far as the job's ladder lets it.

        Raises CandidateFailure with stage and reason, StoppedEarly when the ladder says that the rest is not worth it,
        AutoPruneError when nothing can be measured any more.
        """

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the executor was made."""

    def close(self) -> None:
        """End every process that it started."""
