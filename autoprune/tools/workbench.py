"""What the tools work on: the bench that measures, the sandbox that runs candidates, the archive that remembers."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.evaluation.bench import Accept, Bench, Measurement, accept_all, open_bench
from autoprune.evaluation.texts import Split
from autoprune.pruning.contract import expensive_fields_named
from autoprune.runs.archive import Archive, Measured
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.choose import make_sandbox

BASELINE_SCORES = ("magnitude", "wanda")
BASELINE_ALLOCATIONS = ("uniform", "sdsa")
WORST_LAYERS = 3

Notify = Callable[[str], None]
Facts = dict[str, Any]


@dataclass
class Workbench:
    """One target on one machine. `turn` is held while a candidate is scored and measured: one heavy job at a time."""

    config: Config
    run: RunDirectory
    archive: Archive
    bench: Bench
    sandbox: Sandbox
    turn: threading.Lock = field(default_factory=threading.Lock)

    def settings(self, split: str) -> str:
        """A short hash of all that a measurement depends on, beside the candidate itself."""
        facts = {
            "fingerprints": self.bench.fingerprints(),
            "split": split,
            "sparsity": self.config.sparsity,
            "data": self.config.data.model_dump(),
            "allocation": self.config.allocation.model_dump(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def recorded(self, subject: str, split: str) -> Measured | None:
        """A measurement of this subject under the present settings, if there is one."""
        return self.archive.measurement(subject, split, self.settings(split))

    def calibrated(self, seed: int) -> "Workbench":
        """The same target and archive with the calibration sample of another seed (0: the run's own)."""
        return replace(self, bench=self.bench.calibrated(seed)) if seed else self

    def at(self, sparsity: float) -> "Workbench":
        """The same bench at another sparsity."""
        return replace(self, config=self.config.model_copy(update={"sparsity": sparsity}))

    def on(self, model: str, notify: Notify) -> "Workbench":
        """Another target, loaded now, on the same kinds of text. Raises UsageError for one that cannot be used."""
        config = self.config.model_copy(update={"model": model})
        return replace(self, config=config, bench=open_bench(config, self.run.path, notify))

    def dense(self, split: Split) -> Measured:
        """The unpruned target's perplexity."""
        return self._remember("dense", split, lambda: (self.bench.dense(split), {}))

    def baseline(self, score: str, allocation: str, split: Split) -> Measured:
        """A published score with an allocation, by trusted code."""
        sparsity = self.config.sparsity
        subject = f"baseline:{score}+{allocation}"
        return self._remember(subject, split, lambda: (self.bench.baseline(score, allocation, sparsity, split), {}))

    def candidate(self, name: str, split: Split, accept: Accept = accept_all) -> Measured:
        """Score a candidate in the sandbox, then mask and measure in trusted code.

        `accept` sees the masks' signature before the forward passes and may raise CandidateFailure.
        Raises CandidateFailure with stage and reason.
        """
        return self._remember(name, split, lambda: self._measure(self.run.source(name), split, accept))

    def _measure(self, source: str, split: Split, accept: Accept) -> tuple[Measurement, Facts]:
        sparsity = self.config.sparsity
        with self.sandbox.open(source, self.bench.bundle(expensive_fields_named(source))) as session:
            raw = session.allocate(self.bench.units, sparsity) if session.has_allocate else None
            zeros = self.bench.zeros(sparsity, None if raw else self.config.allocation.name, raw)
            scores = session.scores(self.bench.unit_sparsity(zeros))
            measured = self.bench.measure(scores, session.group, zeros, split, accept=accept)
            return measured, {"repeats": session.repeats, "diagnostics": session.diagnostics}

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the run began."""
        with self.turn:
            self.bench.target.verify()

    def _remember(self, subject: str, split: str, measure: Callable[[], tuple[Measurement, Facts]]) -> Measured:
        with self.turn:
            known = self.recorded(subject, split)
            if known is None:
                self.archive.add_measurement(_row(subject, self.settings(split), *measure()))
                known = self.recorded(subject, split)
        if known is None:
            raise AutoPruneError(f"the archive {self.run.archive_file} did not keep the measurement of {subject}")
        return known


@contextmanager
def open_workbench(config: Config, run: RunDirectory, archive: Archive, notify: Notify) -> Iterator[Workbench]:
    """Load the target, texts and statistics, and start the sandbox; close the sandbox in every case."""
    sandbox = make_sandbox(config.sandbox, notify)
    try:
        bench = open_bench(config, run.path, notify)
        yield Workbench(config, run, archive, bench, sandbox)
    finally:
        sandbox.close()


def _row(subject: str, settings: str, measured: Measurement, facts: Facts) -> Measured:
    worst = sorted(measured.layers, key=lambda layer: -layer.relative_error)[:WORST_LAYERS]
    data: dict[str, Any] = {
        "window_losses": measured.window_losses,
        "zeros": measured.zeros,
        "weights": measured.weights,
        "seqlen": measured.seqlen,
        "windows": measured.windows,
        "seconds": measured.seconds,
        "worst_layers": [layer.name for layer in worst],
        "layers": [vars(layer) for layer in measured.layers],
        **facts,
    }
    return Measured(subject, measured.split, settings, measured.perplexity, measured.sparsity, data, measured.signature)
