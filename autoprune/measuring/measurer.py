"""Measures by name and recipe on one target with one calibration sample, and keeps what it finds."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from autoprune.config import Config
from autoprune.errors import CandidateFailure
from autoprune.evaluation import evaluator
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.executors.base import Executor, Job
from autoprune.executors.compute_lock import ComputeLock
from autoprune.executors.in_process import InProcessExecutor
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.runs.measurement import DENSE, Measurement
from autoprune.sandbox.base import Sandbox


@dataclass
class Measurer:
    """`lock` is held while this process computes: one heavy job at a time. `executor`: where candidates are measured;
    None: here."""

    config: Config
    run: RunDirectory
    store: MeasurementStore
    bench: Bench
    sandbox: Sandbox
    lock: AbstractContextManager[Any] = field(default_factory=ComputeLock)
    executor: Executor | None = None
    _asked: dict[tuple[str, Split], MeasurementSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._here = InProcessExecutor(self.bench, self.sandbox, self.lock)

    def dense(self, split: Split) -> Measurement:
        """The unpruned target's perplexity."""
        spec = self._spec(DENSE, split, None)
        return self.store.get(spec, self._conditions, self._locked(partial(evaluator.dense, self.bench, split)))

    def published(
        self,
        subject: str,
        score: str,
        recipe: Recipe,
        split: Split,
        measure: Callable[[], Measurement] | None = None,
    ) -> Measurement:
        """A published score as a recipe applies it, kept as `subject`. `measure`: what finds it, if it is not that."""
        applied = partial(evaluator.measure, self.bench, Published.named(score), recipe, split, subject=subject)
        return self.store.get(self._spec(subject, split, recipe), self._conditions, self._locked(measure or applied))

    def candidate(self, name: str, recipe: Recipe, split: Split, ladder: Ladder = EVERYTHING) -> Measurement:
        """Score a candidate in the sandbox, then mask and measure in trusted code, as far as the ladder lets it.

        Raises CandidateFailure with stage and reason, also where the scores do not come back; StoppedEarly when the
        ladder says that the rest is not worth it.
        """
        executor, source, settings = self.executor or self._here, self.run.source(name), self.config.sandbox
        conditions = {
            **executor.conditions,
            "source": full_hash(source),  # of which the name is a part: two sources may share one
            "sandbox": [self.sandbox.name, settings.threads, settings.processes],
        }
        job = Job(name, source, recipe, split, ladder)
        spec = self._spec(name, split, recipe)
        found = self.store.get(spec, conditions, partial(executor.measure, job), ladder)
        if found.repeats is False:
            message = f"{NOT_REPEATABLE} than those that had perplexity {found.perplexity:.2f} on the {split} split"
            raise CandidateFailure("check", "not-repeatable", message, found.diagnostics)
        return found

    def known(self, subject: str, split: Split, recipe: Recipe | None = None) -> Measurement | None:
        """What the archive holds of a subject: under a recipe, or, without one, as it was asked for last."""
        spec = self._spec(subject, split, recipe) if recipe else self._asked.get((subject, split))
        return self.store.known(spec) if spec else None

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the run began."""
        self._here.verify()
        if self.executor is not None:
            self.executor.verify()

    @property
    def _conditions(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def _spec(self, subject: str, split: Split, recipe: Recipe | None) -> MeasurementSpec:
        spec = MeasurementSpec.of(self.bench, subject, split, recipe)
        self._asked[subject, split] = spec
        return spec

    def _locked(self, measure: Callable[[], Measurement]) -> Callable[[], Measurement]:
        """What this process measures on its bench, it measures while it holds the lock."""

        def measured() -> Measurement:
            with self.lock:
                return measure()

        return measured
