"""What the tools work on: the bench that measures, the sandbox that runs candidates, the archive that remembers."""

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement import Measurement, StoppedEarly
from autoprune.evaluation.measurement_cache import Facts, MeasurementCache, measurement_key, user_cache
from autoprune.evaluation.texts import Split
from autoprune.evaluation.tuning import Tuned, allotted, measure_setting, tune
from autoprune.pruning.allocation.families import TUNABLE, Setting
from autoprune.pruning.allocation.sdsa import preset
from autoprune.pruning.contract import expensive_fields_named
from autoprune.pruning.masks import parse_pattern
from autoprune.runs.archive import Archive, Measured
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.base import Sandbox, Session
from autoprune.sandbox.choose import make_sandbox
from autoprune.tools.rows import measurement_of, row_of

TUNED_BY = "wanda"
"""The score with which the allocation that candidates get is tuned, and made where it takes scores."""
FAR_BEHIND = 3.0
"""A score whose uniform perplexity is as many times the best one's is not tuned: no allocation makes up for that."""

Notify = Callable[[str], None]
Allotted = tuple[dict[str, int], dict[str, float]]
"""Zeros per layer, and per layer the sparsity of its unit."""


@dataclass
class Workbench:
    """One target on one machine, at one sparsity or under one N:M pattern.

    `turn` is held while something is scored and measured: one heavy job at a time. `origin`: the same with the run's
    own calibration sample, where this one has another; what is tuned is tuned there.
    """

    config: Config
    run: RunDirectory
    archive: Archive
    bench: Bench
    sandbox: Sandbox
    turn: AbstractContextManager[Any] = field(default_factory=threading.RLock)
    cache: MeasurementCache | None = None
    pattern: str = "none"
    origin: "Workbench | None" = None
    _allotted: dict[str, Allotted] = field(default_factory=dict, init=False)

    def settings(self, subject: str, split: str) -> str:
        """A short hash of all that a subject's measurement depends on, beside the subject itself."""
        facts = {
            "fingerprints": self.bench.fingerprints(),
            "split": split,
            "sparsity": self.config.sparsity,
            "data": self.config.data.model_dump(),
            **self._allocation(subject),
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

    def recorded(self, subject: str, split: str) -> Measured | None:
        """A measurement of this subject under the present settings, if there is one."""
        return self.archive.measurement(subject, split, self.settings(subject, split))

    def calibrated(self, seed: int) -> "Workbench":
        """The same target and archive with the calibration sample of another seed (0: the run's own)."""
        return replace(self, bench=self.bench.calibrated(seed), origin=self) if seed else self

    def at(self, sparsity: float) -> "Workbench":
        """The same bench at another sparsity."""
        config = self.config.model_copy(update={"sparsity": sparsity})
        return replace(self, config=config, origin=self.origin and self.origin.at(sparsity))

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
        """Another target, loaded now, on the same kinds of text. Raises UsageError for one that cannot be used."""
        config = self.config.model_copy(update={"model": model})
        return replace(self, config=config, bench=open_bench(config, self.run.path, notify), origin=None)

    def dense(self, split: Split) -> Measured:
        """The unpruned target's perplexity."""
        return self._remember("dense", split, lambda: (self.bench.dense(split), {}))

    def baseline(self, score: str, allocation: str, split: Split) -> Measured:
        """A published score with an allocation, by trusted code; tuned, where the settings say so.

        The record's data then hold `tuning` (what `Tuned` says), or `untuned` where that was not worth it.
        """
        if not self.config.search.tune_baselines or allocation not in TUNABLE:
            return self._published(score, allocation, split)
        if (self.origin or self)._worth_tuning(score):
            return self._tuned(score, allocation, split)
        known = self._published(score, allocation, split)
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

    def patterned(self, score: str, split: Split) -> Measured:
        """A published score under this workbench's pattern."""
        pattern = _parsed(self.pattern)
        return self._remember(f"baseline:{score}", split, lambda: (self.bench.patterned(score, pattern, split), {}))

    def own_setting(self) -> Setting | None:
        """SDSA as it was tuned here, which candidates without an `allocate` get; None where it is not tuned."""
        return self._tuning(TUNED_BY, "sdsa").setting if self.config.allocation.tune else None

    def _published(self, score: str, allocation: str, split: Split) -> Measured:
        sparsity = self.config.sparsity
        subject = f"baseline:{score}+{allocation}"
        return self._remember(subject, split, lambda: (self.bench.baseline(score, allocation, sparsity, split), {}))

    def _worth_tuning(self, score: str) -> bool:
        uniform = {each: self._uniform(each) for each in (*self.config.search.baseline_scores, score)}
        return uniform[score] <= FAR_BEHIND * min(uniform.values())

    def _uniform(self, score: str) -> float:
        """A score's perplexity on the search split with uniform allocation; infinite where it is not finite."""
        try:
            return self._published(score, "uniform", "search").perplexity
        except CandidateFailure:
            return math.inf

    def _tuning(self, score: str, family: str) -> Tuned:
        """How a family is tuned for a score: kept with the measurement that it led to, on the search split."""
        row = (self.origin or self)._tuned(score, family, "search")
        return Tuned(**row.data["tuning"])

    def _tuned(self, score: str, family: str, split: Split, by: str | None = None) -> Measured:
        """A score with an allocation that was tuned for it, or for the score `by`."""
        by = by or score
        sparsity = self.config.sparsity
        subject = f"baseline:{score}+{family} tuned{f' with {by}' * (by != score)}"
        if by == score and split == "search" and self.origin is None:
            # Here it is tuned: what comes of that depends on nothing that the measurement itself would not.
            def measure_tuned() -> tuple[Measurement, Facts]:
                tuned = self._tune(score, family)
                measured = measure_setting(self.bench, score, tuned.setting, sparsity, split)
                return measured, {"tuning": asdict(tuned)}

            return self._remember(subject, split, measure_tuned)
        tuned = self._tuning(by, family)

        def measure() -> tuple[Measurement, Facts]:
            measured = measure_setting(self.bench, score, tuned.setting, sparsity, split, by)
            return measured, {"tuning": asdict(tuned)}

        return self._remember(subject, split, measure, tuned=asdict(tuned.setting))

    def _tune(self, score: str, family: str) -> Tuned:
        settings = self.config.allocation
        constants = preset(settings.preset, settings.kappa, settings.tau, settings.delta)
        return tune(self.bench, score, family, self.config.sparsity, settings.unit, constants)

    def candidate(self, name: str, split: Split, ladder: Ladder = EVERYTHING) -> Measured:
        """Score a candidate in the sandbox, then mask and measure in trusted code, as far as the ladder lets it.

        Raises CandidateFailure with stage and reason; StoppedEarly when the ladder says that the rest is not worth it.
        """
        return self._remember(name, split, lambda: self._measure(self.run.source(name), split, ladder), ladder)

    def _measure(self, source: str, split: Split, ladder: Ladder) -> tuple[Measurement, Facts]:
        given = self._given()  # before the sandbox is opened, whose time is the candidate's
        with self.sandbox.open(source, self.bench.bundle(expensive_fields_named(source))) as session:
            if session.has_allocate and self.pattern == "none":
                units = self.bench.units_by(session.unit or self.config.allocation.unit)
                raw = session.allocate(units.described(), self.config.sparsity)
                zeros = units.projected(raw, self.config.sparsity)
                told = units.sparsity(zeros)
            else:
                zeros, told = given
            scores, pattern = session.scores(told, pattern=self.pattern), parse_pattern(self.pattern)
            try:
                measured = self.bench.measure(scores, session.group, zeros, split, ladder, pattern)
            except StoppedEarly as stopped:
                stopped.facts = _facts(session)
                raise
            return measured, _facts(session)

    def _given(self) -> Allotted:
        """Zeros per layer and what is told of them, for candidates without an `allocate`; under a pattern for all."""
        sparsity, pattern = self.config.sparsity, parse_pattern(self.pattern)
        tuned = None if pattern else self.own_setting()
        if tuned is not None:
            key = f"{tuned.family} {tuned}"
            if key not in self._allotted:
                self._allotted[key] = allotted(self.bench, tuned, sparsity, TUNED_BY)
            return self._allotted[key]
        allocation = self.config.allocation.name
        zeros = self.bench.pattern_zeros(pattern) if pattern else self.bench.zeros(sparsity, allocation)
        return zeros, self.bench.unit_sparsity(zeros)

    def verify(self) -> None:
        """Raises AutoPruneError unless the target's weights are what they were when the run began."""
        with self.turn:
            self.bench.target.verify()

    def _remember(
        self,
        subject: str,
        split: Split,
        measure: Callable[[], tuple[Measurement, Facts]],
        ladder: Ladder = EVERYTHING,
        **facts: Any,
    ) -> Measured:
        """What is known of a subject, else what `measure` finds, which is kept. `facts`: for the cache's key."""
        with self.turn:
            known = self.recorded(subject, split)
            if known is not None and ladder is not EVERYTHING:
                # By an earlier life of the run, or by the run that this is a fork of: it ends as if measured now.
                ladder.replay(measurement_of(known))
            elif known is None:
                key = self._key(subject, split, facts)
                found = self.cache.measure_once(key, ladder, measure) if self.cache else measure()
                self.archive.add_measurement(row_of(subject, self.settings(subject, split), *found))
                known = self.recorded(subject, split)
        if known is None:
            raise AutoPruneError(f"the archive of {self.run.path} did not keep the measurement of {subject}")
        return known

    def _key(self, subject: str, split: str, more: Facts) -> str:
        """Under what the user's cache keeps a measurement; nothing that was pruned decides the dense model's."""
        facts = self.bench.fingerprints() | more
        texts = facts.pop("texts")
        facts |= {"subject": subject, "split": split, "text": texts[split], "seqlen": self.config.data.seqlen}
        if subject != "dense":
            facts |= {"calibration": texts["calibration"], "sparsity": self.config.sparsity}
            facts |= self._allocation(subject)
        if _is_candidate(subject):
            facts["sandbox"] = [self.sandbox.name, self.config.sandbox.threads]
        return measurement_key(**facts)


@contextmanager
def open_workbench(config: Config, run: RunDirectory, archive: Archive, notify: Notify) -> Iterator[Workbench]:
    """Load the target, texts and statistics, and start the sandbox; close the sandbox in every case."""
    sandbox = make_sandbox(config.sandbox, notify)
    try:
        bench = open_bench(config, run.path, notify)
        cache = user_cache(notify) if config.search.cache else None
        yield Workbench(config, run, archive, bench, sandbox, cache=cache)
    finally:
        sandbox.close()


def _facts(session: Session) -> Facts:
    """What is known of a candidate once it has been scored, beside the measurement."""
    return {"repeats": session.repeats, "memory_bytes": session.memory, "diagnostics": session.diagnostics}


def _parsed(pattern: str) -> tuple[int, int]:
    """Raises UsageError for what is no pattern N:M."""
    parsed = parse_pattern(pattern)
    if parsed is None:
        raise UsageError(f"{pattern!r} is no pattern N:M")
    return parsed


def _is_candidate(subject: str) -> bool:
    return subject != "dense" and not subject.startswith("baseline:")
