"""Measures by name and recipe on one target with one calibration sample, and stores the results."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from autoprune.candidates.screen import Rules, refuse
from autoprune.config import Config
from autoprune.errors import CandidateFailure
from autoprune.evaluation import evaluator
from autoprune.evaluation.algorithms import NOT_REPEATABLE
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.evaluation.structured_evaluator import AnyRecipe, measure_published
from autoprune.evaluation.texts import Split
from autoprune.executors.base import Executor, Job
from autoprune.executors.compute_lock import ComputeLock
from autoprune.executors.in_process import InProcessExecutor
from autoprune.progress import progress
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.runs.measurement import DENSE, Measurement
from autoprune.sandbox.base import Sandbox


@dataclass
class Measurer:
    """`lock`: held while this process computes. `executor`: measures candidates; None: this process does."""

    config: Config
    run: RunDirectory
    store: MeasurementStore
    bench: Bench
    sandbox: Sandbox
    lock: AbstractContextManager[Any] = field(default_factory=ComputeLock)
    executor: Executor | None = None
    _asked: dict[tuple[str, Split], MeasurementSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._in_process = InProcessExecutor(self.bench, self.sandbox, self.lock)

    def dense(self, split: Split) -> Measurement:
        def measure() -> Measurement:
            windows = len(self.bench.windows(split).tokens)
            with progress("dense model", windows, "windows", logging.DEBUG) as advance:
                return evaluator.dense(self.bench, split, lambda: advance(1))

        return self.store.get(self._spec(DENSE, split, None), self._conditions, self._locked(measure))

    def published(
        self,
        subject: str,
        score: str,
        recipe: AnyRecipe,
        split: Split,
        measure: Callable[[], Measurement] | None = None,
    ) -> Measurement:
        """A published score under a recipe, stored as `subject`. `measure`: replaces the plain evaluation."""
        evaluate = partial(measure_published, self.bench, score, recipe, split, subject)
        return self.store.get(self._spec(subject, split, recipe), self._conditions, self._locked(measure or evaluate))

    def candidate(self, name: str, recipe: AnyRecipe, split: Split, ladder: Ladder = EVERYTHING) -> Measurement:
        """Score a candidate in the sandbox, then mask and measure it in trusted code.

        Raises CandidateFailure with stage and reason, also if the scores are not repeatable; StoppedEarly when the
        ladder stops the candidate.
        """
        executor, source = self.executor or self._in_process, self.run.source(name)
        refuse(source, Rules.of(self.config))  # also what a person has edited
        conditions = {
            **executor.conditions,
            "source": full_hash(source),  # the name is only a prefix, which two sources may share
            "sandbox": [self.sandbox.name, 0, 0],  # former settings: measurements in the cache stay valid
        }
        job = Job(name, source, recipe, split, ladder)
        spec = self._spec(name, split, recipe)
        measured = self.store.get(spec, conditions, partial(executor.measure, job), ladder)
        if measured.repeats is False:
            message = f"{NOT_REPEATABLE} than those that had perplexity {measured.perplexity:.2f} on the {split} split"
            raise CandidateFailure("check", "not-repeatable", message, measured.diagnostics)
        return measured

    def known(self, subject: str, split: Split, recipe: AnyRecipe | None = None) -> Measurement | None:
        """The archive's measurement of a subject under a recipe; without one, under that of the last request."""
        spec = self._spec(subject, split, recipe) if recipe else self._asked.get((subject, split))
        return self.store.known(spec) if spec else None

    def verify(self) -> None:
        """Raises AutoPruneError if the target's weights have changed since the run began."""
        self._in_process.verify()
        if self.executor is not None:
            self.executor.verify()

    @property
    def _conditions(self) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def _spec(self, subject: str, split: Split, recipe: AnyRecipe | None) -> MeasurementSpec:
        spec = MeasurementSpec.of(self.bench, subject, split, recipe)
        self._asked[subject, split] = spec
        return spec

    def _locked(self, measure: Callable[[], Measurement]) -> Callable[[], Measurement]:
        def locked() -> Measurement:
            with self.lock:
                return measure()

        return locked
