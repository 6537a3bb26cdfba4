"""The executor's interface: a job in, a measurement out."""

from dataclasses import dataclass
from typing import Any, Protocol

from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.structured_evaluator import AnyRecipe
from autoprune.evaluation.texts import Split
from autoprune.runs.measurement import Measurement


@dataclass(frozen=True)
class Job:
    """A candidate to score and measure, with everything that the result depends on except the bench. Picklable."""

    name: str
    source: str
    recipe: AnyRecipe
    split: Split
    ladder: Ladder = EVERYTHING


class Executor(Protocol):
    """Scores and measures candidates on one target, with one calibration sample.

    Thread-safe. The result of a job depends on the job only: not on where it runs, on earlier jobs, or on the order in
    which jobs end.
    """

    conditions: dict[str, Any]
    """Properties of the executor that measurements depend on, for the cache's key."""

    def measure(self, job: Job) -> Measurement:
        """Run the job's ladder.

        Raises CandidateFailure with stage and reason, StoppedEarly when the ladder stops the candidate, AutoPruneError
        when the executor cannot measure any more.
        """

    def verify(self) -> None:
        """Raises AutoPruneError if the target's weights have changed since the executor was made."""

    def close(self) -> None:
        """End all processes that it started."""
