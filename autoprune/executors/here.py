"""In this process, one candidate at a time. Each worker of the other executors has one of these inside."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch

from autoprune.config import AllocationSettings
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.measurement import StoppedEarly
from autoprune.evaluation.measurement_cache import Facts, Known
from autoprune.evaluation.tuning import allotted
from autoprune.executors.base import Job
from autoprune.pruning.contract import expensive_fields_named
from autoprune.pruning.masks import parse_pattern
from autoprune.pruning.turns import Turn
from autoprune.sandbox.base import Sandbox, Session

TUNED_BY = "wanda"
"""The score with which the allocation that candidates get is tuned, and made where it takes scores."""

Allotted = tuple[dict[str, int], dict[str, float]]
"""Zeros per layer, and per layer the sparsity of its unit."""


@dataclass
class Here:
    """The sandbox scores, the bench masks and measures. `turn` is held meanwhile: one heavy job at a time."""

    allocation: AllocationSettings
    bench: Bench
    sandbox: Sandbox
    turn: AbstractContextManager[Any] = field(default_factory=Turn)
    _allotted: dict[str, Allotted] = field(default_factory=dict, init=False)

    @property
    def conditions(self) -> Facts:
        """See base.Executor."""
        return {"threads": torch.get_num_threads()}

    def measure(self, job: Job) -> Known:
        """See base.Executor."""
        with self.turn:
            given = self._given(job)  # before the sandbox is opened, whose time is the candidate's
            self.bench.sampled(job.split)  # and so are the statistics that it needs
            with self.sandbox.open(job.source, self.bench.bundle(expensive_fields_named(job.source))) as session:
                if session.has_allocate and job.pattern == "none":
                    units = self.bench.units_by(session.unit or self.allocation.unit)
                    raw = session.allocate(units.described(), job.sparsity)
                    zeros = units.projected(raw, job.sparsity)
                    told = units.sparsity(zeros)
                else:
                    zeros, told = given
                scores = session.scores(told, self.bench.scoring_order(job.split), job.pattern)
                pattern = parse_pattern(job.pattern)
                try:
                    measured = self.bench.measure(scores, session.group, zeros, job.split, job.ladder, pattern)
                except StoppedEarly as stopped:
                    stopped.facts = _facts(session, measured=False)
                    raise
                return measured, _facts(session, measured=True)

    def verify(self) -> None:
        """See base.Executor."""
        with self.turn:
            self.bench.target.verify()

    def close(self) -> None:
        """End the sandbox."""
        self.sandbox.close()

    def _given(self, job: Job) -> Allotted:
        """Zeros per layer and what is told of them, for candidates without an `allocate`; under a pattern for all."""
        pattern = parse_pattern(job.pattern)
        if pattern is None and job.tuned is not None:
            key = f"{job.tuned.family} {job.tuned} at {job.sparsity}"
            if key not in self._allotted:
                self._allotted[key] = allotted(self.bench, job.tuned, job.sparsity, TUNED_BY)
            return self._allotted[key]
        zeros = self.bench.pattern_zeros(pattern) if pattern else self.bench.zeros(job.sparsity, self.allocation.name)
        return zeros, self.bench.unit_sparsity(zeros)


def _facts(session: Session, measured: bool) -> Facts:
    """What is known of a candidate once it has been scored, beside the measurement. Whether its scores repeat is asked
    of those only that were measured to the end."""
    return {
        "repeats": session.repeats() if measured else None,
        "memory_bytes": session.memory,
        "diagnostics": session.diagnostics,
    }
