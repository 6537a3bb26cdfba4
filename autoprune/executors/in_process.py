"""Measures in this process, one candidate at a time. The workers of the other executors use it as well."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.structured_evaluator import measure_structured
from autoprune.evaluation.structured_recipe import StructuredRecipe
from autoprune.executors.base import Job
from autoprune.executors.compute_lock import ComputeLock
from autoprune.runs.measurement import Measurement
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox


@dataclass
class InProcessExecutor:
    """The sandbox scores, the evaluator masks and measures; see base.Executor. `lock`: held while a job runs."""

    bench: Bench
    sandbox: Sandbox
    lock: AbstractContextManager[Any] = field(default_factory=ComputeLock)

    @property
    def conditions(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def measure(self, job: Job) -> Measurement:
        with self.lock:
            candidate = Candidate(job.name, job.source, self.sandbox)
            if isinstance(job.recipe, StructuredRecipe):
                return measure_structured(self.bench, candidate, job.recipe, job.split, job.ladder, job.name)
            return measure(self.bench, candidate, job.recipe, job.split, job.ladder, job.name)

    def verify(self) -> None:
        with self.lock:
            self.bench.target.verify()

    def close(self) -> None:
        self.sandbox.close()
