"""What an executor is: it takes a candidate as plain data, and gives back what was measured of it."""

from dataclasses import dataclass
from typing import Any, Protocol

from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.runs.measurement import Measurement


@dataclass(frozen=True)
class Job:
    """A candidate to be scored and measured, with all that this depends on beside the bench. It can be pickled."""

    name: str
    source: str
    recipe: Recipe
    split: Split
    ladder: Ladder = EVERYTHING


class Executor(Protocol):
    """Scores and measures candidates on one target, with one calibration sample.

    Jobs may come from several threads. What comes of a job depends on the job alone: neither on where it runs, nor on
    what ran before it, nor on the order in which jobs end.
    """

    conditions: dict[str, Any]
    """What of its own a measurement depends on, for the cache's key."""

    def measure(self, job: Job) -> Measurement:
        """The measurement, as far as the job's ladder lets it.

        Raises CandidateFailure with stage and reason, StoppedEarly when the ladder says that the rest is not worth it,
        AutoPruneError when nothing can be measured any more.
        """

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the executor was made."""

    def close(self) -> None:
        """End every process that it started."""
