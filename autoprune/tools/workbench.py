"""What the tools work on: the bench that measures, the sandbox that runs candidates, the archive that remembers."""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from autoprune.config import Config
from autoprune.config_values import Refinement
from autoprune.errors import CandidateFailure, UsageError
from autoprune.evaluation.algorithms import NOT_REPEATABLE
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement import Measurement
from autoprune.evaluation.measurement_cache import Facts, Known, measurement_key
from autoprune.evaluation.refined_tuning import tune_refined
from autoprune.evaluation.texts import Split
from autoprune.evaluation.tuning import Tuned, measure_setting, tune
from autoprune.executors.base import Executor, Job
from autoprune.executors.here import TUNED_BY, Here
from autoprune.pruning.allocation.families import TUNABLE, Setting
from autoprune.pruning.allocation.sdsa import preset
from autoprune.pruning.masks import parse_pattern
from autoprune.pruning.turns import Turn
from autoprune.runs.archive import Archive, Measured
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.sandbox.base import Sandbox
from autoprune.tools.memory import Memory
from autoprune.tools.rows import refined_name

FAR_BEHIND = 3.0
"""A score whose uniform perplexity is as many times the best one's is not tuned: no allocation makes up for that."""

Notify = Callable[[str], None]


@dataclass
class Workbench:
    """One target on one machine, at one sparsity or under one N:M pattern.

    `turn` is held while this process computes: one heavy job at a time. `executor`: where candidates are measured on
    this bench; None: here. `origin`: where what is tuned is tuned, if not here: the same with the run's own calibration
    sample, or, without `search.tune_elsewhere`, the run's own sparsity and model.
    """

    config: Config
    run: RunDirectory
    memory: Memory
    bench: Bench
    sandbox: Sandbox
    turn: AbstractContextManager[Any] = field(default_factory=Turn)
    pattern: str = "none"
    origin: "Workbench | None" = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        self._here = Here(self.config.allocation, self.bench, self.sandbox, self.turn)

    @property
    def archive(self) -> Archive:
        """The run's."""
        return self.memory.archive

    def settings(self, subject: str, split: str) -> str:
        """A short hash of all that a subject's measurement depends on, beside the subject itself."""
        facts = {
            "fingerprints": self.bench.fingerprints(),
            "split": split,
            "sparsity": self.config.sparsity,
            "data": self.config.data.model_dump(exclude={"bos"}),  # it is in the texts' fingerprints, if there is one
            **self._allocation(subject),
            **self._reconstruction(subject, split),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _allocation(self, subject: str) -> Facts:
        """What decides where a subject's zeros are, beside sparsity and statistics."""
        facts: Facts = {"allocation": self.config.allocation.model_dump(exclude={"tune"})}
        if self.pattern != "none":
            facts["pattern"] = self.pattern
        elif _is_candidate(subject) and (tuned := self.own_setting()):
            facts["tuned"] = asdict(tuned)
        return facts

    def _reconstruction(self, subject: str, split: str) -> Facts:
        """What was measured without this error is no answer where the ladder asks for it."""
        asked = split == "search" and self.config.search.layer_error is not None
        return {"layer_errors": "weighted by output sensitivity"} if asked and subject != "dense" else {}

    def recorded(self, subject: str, split: str) -> Measured | None:
        """A measurement of this subject under the present settings, if there is one."""
        return self.memory.known(subject, split, self.settings(subject, split))

    def calibrated(self, seed: int) -> "Workbench":
        """The same target and archive with the calibration sample of another seed (0: the run's own)."""
        return replace(self, bench=self.bench.calibrated(seed), executor=None, origin=self) if seed else self

    def at(self, sparsity: float) -> "Workbench":
        """The same bench at another sparsity."""
        config = self.config.model_copy(update={"sparsity": sparsity})
        if config.search.tune_elsewhere:
            origin = self.origin and self.origin.at(sparsity)
        else:
            origin = self.origin or (self if sparsity != self.config.sparsity else None)
        return replace(self, config=config, origin=origin)

    def under(self, pattern: str) -> "Workbench":
        """The same bench under a pattern N:M, where `patterned` and `candidate` are what can be measured.

        Raises UsageError for a pattern that does not divide a layer's inputs.
        """
        kept, of = _parsed(pattern)
        for layer in self.bench.layers:
            if layer.shape[1] % of:
                raise UsageError(f"the pattern {pattern} does not divide the {layer.shape[1]} inputs of {layer.name}")
        return replace(self.at(1.0 - kept / of), pattern=pattern)

    def on(self, model: str, notify: Notify) -> "Workbench":
        """Another target, loaded now, on the same kinds of text, of as many windows as `search.transfer_windows` says.

        Raises UsageError for one that cannot be used.
        """
        data, windows = self.config.data, self.config.search.transfer_windows
        if windows is not None:
            data = data.model_copy(update={"search_windows": windows, "report_windows": windows})
        config = self.config.model_copy(update={"model": model, "data": data})
        bench = open_bench(config, self.run.path, notify)
        origin = None if config.search.tune_elsewhere else self
        return replace(self, config=config, bench=bench, executor=None, origin=origin)

    def dense(self, split: Split) -> Measured:
        """The unpruned target's perplexity."""
        return self._bench_remembers("dense", split, lambda: (self.bench.dense(split), {}))

    def baseline(self, score: str, allocation: str, split: Split, refinement: Refinement = "none") -> Measured:
        """A published score with an allocation and a refinement, by trusted code; tuned, where the settings say so.

        The record's data then hold `tuning` (what `Tuned` says), or `untuned` where that was not worth it.
        """
        if not self.config.search.tune_baselines or allocation not in TUNABLE:
            return self._published(score, allocation, split, refinement)
        if self._tuner._worth_tuning(score):
            return self._tuned(score, allocation, split, refinement=refinement)
        known = self._published(score, allocation, split, refinement)
        return replace(known, data={**known.data, "untuned": True})

    @property
    def tuned_allocations(self) -> list[str]:
        """Those of the baselines' allocations that have free parameters, if these are tuned."""
        settings = self.config.search
        return [each for each in settings.baseline_allocations if each in TUNABLE] if settings.tune_baselines else []

    def seed(self, score: str, split: Split) -> Measured:
        """A published score as a candidate would be measured: with the allocation that candidates get."""
        if self.config.allocation.tune:
            return self._tuned(score, "sdsa", split, TUNED_BY)
        return self._published(score, self.config.allocation.name, split)

    def patterned(self, score: str, split: Split, refinement: Refinement = "none") -> Measured:
        """A published score with a refinement under this workbench's pattern."""
        pattern = _parsed(self.pattern)
        measure = partial(self.bench.patterned, score, pattern, split, refinement)
        return self._bench_remembers(f"baseline:{refined_name(score, refinement)}", split, lambda: (measure(), {}))

    def own_setting(self) -> Setting | None:
        """SDSA as it was tuned here, which candidates without an `allocate` get; None where it is not tuned."""
        return self._tuning(TUNED_BY, "sdsa").setting if self.config.allocation.tune else None

    def _published(self, score: str, allocation: str, split: Split, refinement: Refinement = "none") -> Measured:
        sparsity = self.config.sparsity
        subject = f"baseline:{refined_name(score, refinement)}+{allocation}"
        measure = partial(self.bench.baseline, score, allocation, sparsity, split, refinement)
        return self._bench_remembers(subject, split, lambda: (measure(), {}))

    @property
    def _tuner(self) -> "Workbench":
        """Where what is used here is tuned."""
        return self.origin._tuner if self.origin else self

    def _worth_tuning(self, score: str) -> bool:
        uniform = {each: self.uniform(each) for each in (*self.config.search.baseline_scores, score)}
        return uniform[score] <= FAR_BEHIND * min(uniform.values())

    def uniform(self, score: str) -> float:
        """A score's perplexity on the search split with uniform allocation; infinite where it is not finite."""
        try:
            return self._published(score, "uniform", "search").perplexity
        except CandidateFailure:
            return math.inf

    def _tuning(self, score: str, family: str, refinement: Refinement = "none") -> Tuned:
        """How a family is tuned for a score: kept with the measurement that it led to, on the search split."""
        row = self._tuner._tuned(score, family, "search", refinement=refinement)
        return Tuned(**row.data["tuning"])

    def _tuned(
        self, score: str, family: str, split: Split, by: str | None = None, refinement: Refinement = "none"
    ) -> Measured:
        """A score with an allocation that was tuned for it and its refinement, or for the score `by`."""
        by = by or score
        sparsity = self.config.sparsity
        tuner = self._tuner
        afar = (tuner.config.model, tuner.config.sparsity) != (self.config.model, sparsity)
        name = refined_name(score, refinement)
        subject = f"baseline:{name}+{family} tuned{f' with {by}' * (by != score)}{' in the search' * afar}"
        if by == score and split == "search" and tuner is self:
            # Here it is tuned: what comes of that depends on nothing that the measurement itself would not.
            plain = None if refinement == "none" else self._tuning(score, family)

            def measure_tuned() -> Known:
                tuned, measured = self._tune(score, family, refinement, plain)
                return measured, {"tuning": asdict(tuned)}

            return self._bench_remembers(subject, split, measure_tuned)
        tuned = self._tuning(by, family, refinement)

        def measure() -> Known:
            measured = measure_setting(self.bench, score, tuned.setting, sparsity, split, by, refinement)
            return measured, {"tuning": asdict(tuned)}

        return self._bench_remembers(subject, split, measure, tuned=asdict(tuned.setting))

    def _tune(self, score: str, family: str, refinement: Refinement, plain: Tuned | None) -> tuple[Tuned, Measurement]:
        """`plain`: how it was tuned without the refinement, if there is one."""
        settings, sparsity = self.config.allocation, self.config.sparsity
        constants = preset(settings.preset, settings.kappa, settings.tau, settings.delta)
        if plain is not None:
            return tune_refined(self.bench, score, plain, sparsity, settings.unit, constants, refinement)
        tuned = tune(self.bench, score, family, sparsity, settings.unit, constants)
        return tuned, measure_setting(self.bench, score, tuned.setting, sparsity, "search")

    def candidate(self, name: str, split: Split, ladder: Ladder = EVERYTHING) -> Measured:
        """Score a candidate in the sandbox, then mask and measure in trusted code, as far as the ladder lets it.

        Raises CandidateFailure with stage and reason, also where the scores do not come back; StoppedEarly when the
        ladder says that the rest is not worth it.
        """
        executor = self.executor or self._here

        def measure() -> Known:
            tuned = self.own_setting() if self.pattern == "none" else None
            job = Job(name, self.run.source(name), split, self.config.sparsity, self.pattern, tuned, ladder)
            return executor.measure(job)

        row = self._remember(name, split, measure, ladder, **executor.conditions)
        if row.data.get("repeats") is False:
            message = f"{NOT_REPEATABLE} than those that had perplexity {row.perplexity:.2f} on the {split} split"
            raise CandidateFailure("check", "not-repeatable", message, row.data["diagnostics"])
        return row

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the run began."""
        self._here.verify()
        if self.executor is not None:
            self.executor.verify()

    def _bench_remembers(self, subject: str, split: Split, measure: Callable[[], Known], **facts: Any) -> Measured:
        """The same as `_remember` for what this process measures on its bench, when it is its turn."""

        def in_turn() -> Known:
            with self.turn:
                return measure()

        return self._remember(subject, split, in_turn, **facts)

    def _remember(
        self, subject: str, split: Split, measure: Callable[[], Known], ladder: Ladder = EVERYTHING, **facts: Any
    ) -> Measured:
        """What is known of a subject, else what `measure` finds, which is kept. `facts`: for the cache's key."""
        settings = self.settings(subject, split)
        return self.memory.remember(subject, split, settings, lambda: self._key(subject, split, facts), measure, ladder)

    def _key(self, subject: str, split: str, more: Facts) -> str:
        """Under what the user's cache keeps a measurement; nothing that was pruned decides the dense model's."""
        facts = self.bench.fingerprints() | more
        texts = facts.pop("texts")
        facts |= {"subject": subject, "split": split, "text": texts[split], "seqlen": self.config.data.seqlen}
        if subject != "dense":
            facts |= {"calibration": texts["calibration"], "sparsity": self.config.sparsity}
            facts |= self._allocation(subject) | self._reconstruction(subject, split)
        if _is_candidate(subject):
            settings = self.config.sandbox
            # Its name is a part of its hash, and the cache is shared by runs: two sources may share a name.
            facts["source"] = full_hash(self.run.source(subject))
            facts["sandbox"] = [self.sandbox.name, settings.threads, settings.processes]
        return measurement_key(**facts)


def _parsed(pattern: str) -> tuple[int, int]:
    """Raises UsageError for what is no pattern N:M."""
    parsed = parse_pattern(pattern)
    if parsed is None:
        raise UsageError(f"{pattern!r} is no pattern N:M")
    return parsed


def _is_candidate(subject: str) -> bool:
    return subject != "dense" and not subject.startswith("baseline:")
