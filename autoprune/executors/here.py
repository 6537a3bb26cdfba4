"""In this process, one candidate at a time. Each worker of the other executors has one of these inside."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.executors.base import Job
from autoprune.pruning.turns import Turn
from autoprune.runs.measurement import Measurement
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox


@dataclass
class Here:
    """The sandbox scores, the evaluator masks and measures. `turn` is held meanwhile: one heavy job at a time."""

    bench: Bench
    sandbox: Sandbox
    turn: AbstractContextManager[Any] = field(default_factory=Turn)

    @property
    def conditions(self) -> dict[str, Any]:
        """See base.Executor."""
        return {"threads": torch.get_num_threads()}

    def measure(self, job: Job) -> Measurement:
        """See base.Executor."""
        with self.turn:
            candidate = Candidate(job.name, job.source, self.sandbox)
            return measure(self.bench, candidate, job.recipe, job.split, job.ladder, subject=job.name)

    def verify(self) -> None:
        """See base.Executor."""
        with self.turn:
            self.bench.target.verify()

    def close(self) -> None:
        """End the sandbox."""
        self.sandbox.close()
