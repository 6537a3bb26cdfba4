"""The contenders of the confirmation, their number of calibration seeds, and their results."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from autoprune.config_values import Refinement, Update
from autoprune.errors import CandidateFailure
from autoprune.evaluation.confirmation import Losses
from autoprune.evaluation.tuning import parameters_of
from autoprune.leagues import LEAGUES, MASK_ONLY
from autoprune.measuring.baselines import Baseline, all_baselines
from autoprune.measuring.tuner import full_name
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Outcome
from autoprune.runs.measurement import Measurement
from autoprune.search.context import SearchContext


@dataclass(frozen=True)
class Contender:
    """A finalist or a baseline. `measure`: measures it on a workbench's report split; `seeds`: its number of
    calibration samples. Finalists have a `slot` and a `candidate`, those of single weights a `baseline`. `seconds`: of
    the measurement on the search split."""

    name: str
    kind: Literal["baseline", "candidate"]
    search: float
    seeds: int
    measure: Callable[[Workbench], Measurement]
    slot: str = ""
    candidate: str = ""
    baseline: Baseline | None = None
    seconds: float = 0.0


@dataclass
class ContenderResult:
    """The results of a contender under one condition. `measured`: calibration seed -> measurement."""

    contender: Contender
    measured: dict[int, Measurement] = field(default_factory=dict)
    problem: str = ""

    def take(self, workbench: Workbench, seed: int) -> None:
        """Measure with one more seed. After a failure nothing more is measured: all samples must succeed."""
        if self.problem:
            return
        try:
            self.measured[seed] = self.contender.measure(workbench)
        except CandidateFailure as failure:
            self.problem = str(failure) if seed == 0 else f"{failure} (calibration seed {seed})"

    @property
    def name(self) -> str:
        """The contender's name; for a baseline that of its measurement, since here it may be untuned."""
        first = next(iter(self.measured.values()), None)
        return self.contender.name if first is None or self.contender.candidate else first.name

    @property
    def losses(self) -> Losses | None:
        """Losses by seed and window; None after a failure."""
        if self.problem:
            return None
        return {seed: row.window_losses for seed, row in self.measured.items()}

    def row(self) -> dict[str, Any]:
        """The row of the event `confirmed`. `report`: exp of the mean loss over all seeds, None after a failure;
        `league`: only where kept weights are updated."""
        contender = self.contender
        row: dict[str, Any] = {"name": self.name, "kind": contender.kind, "search": contender.search, "report": None}
        if contender.candidate:
            row["candidate"] = contender.candidate
        if self.problem:
            return {**row, "problem": self.problem}
        first = next(iter(self.measured.values()))
        by_seed = [measured.perplexity for measured in self.measured.values()]
        report = by_seed[0] if len(by_seed) == 1 else math.exp(fmean(map(math.log, by_seed)))
        facts = first.model_dump(include={"sparsity", "zeros", "weights", "bos"})
        if first.league != MASK_ONLY:
            facts["league"] = first.league
        if first.parameters is not None:
            facts["model_parameters"] = first.parameters
        if parameters := parameters_of(first):
            facts["parameters"] = parameters
        return {**row, "report": report, **facts, "seeds": list(self.measured), "by_seed": by_seed}


def contenders(context: SearchContext) -> list[Contender]:
    """All baselines, then the finalists, each best on the search split first."""
    return [*_baselines(context), *_finalists(context)]


def _baselines(context: SearchContext) -> list[Contender]:
    """All baselines; the best `confirmation.baselines` of each league get every seed."""
    settings = context.config.confirmation
    rows = [(baseline, baseline.measured(context.workbench, "search")) for baseline in all_baselines(context.workbench)]
    rows.sort(key=lambda pair: pair[1].perplexity)
    ranked = {league: [row.subject for _, row in rows if row.league == league] for league in LEAGUES}
    reseeded = {subject for subjects in ranked.values() for subject in subjects[: settings.baselines]}
    return [
        Contender(
            name=row.name,
            kind="baseline",
            search=row.perplexity,
            seeds=settings.seeds if row.subject in reseeded else 1,
            measure=partial(baseline.measured, split="report"),
            baseline=baseline if isinstance(baseline, Baseline) else None,
            seconds=sum(row.seconds.values()),
        )
        for baseline, row in rows
    ]


def under_a_pattern(taking_part: list[Contender]) -> list[Contender]:
    """The contenders under an N:M pattern, where all allocations are equal: one for each score, refinement and update,
    with the rank and seeds of its best baseline, and the finalists."""
    best: dict[tuple[str, Refinement, Update], Contender] = {}
    for contender in taking_part:
        if contender.baseline is not None:
            baseline = contender.baseline
            best.setdefault((baseline.score, baseline.refinement, baseline.update), contender)
    scores = [
        replace(
            contender,
            name=full_name(score, refinement, update),
            measure=partial(_measure_under_pattern, score, refinement, update),
        )
        for (score, refinement, update), contender in best.items()
    ]
    return [*scores, *(contender for contender in taking_part if contender.kind == "candidate")]


def _measure_under_pattern(score: str, refinement: Refinement, update: Update, workbench: Workbench) -> Measurement:
    return workbench.patterned(score, "report", refinement, update)


def _finalists(context: SearchContext) -> list[Contender]:
    """The best measured candidates; of several slots with the same code only the first."""
    unique: dict[str, Outcome] = {}
    for outcome in context.archive.outcomes():
        if outcome.status == "measured" and outcome.candidate:
            unique.setdefault(outcome.candidate, outcome)
    ranked = sorted(unique.values(), key=lambda outcome: (outcome.data["perplexity"], outcome.slot))
    return [_finalist(context, outcome) for outcome in ranked[: context.config.confirmation.finalists]]


def _finalist(context: SearchContext, outcome: Outcome) -> Contender:
    candidate = str(outcome.candidate)
    measured = context.workbench.recorded(candidate, "search")
    return Contender(
        name=f"{outcome.slot} {candidate[:8]}",
        kind="candidate",
        search=outcome.data["perplexity"],
        seeds=context.config.confirmation.seeds,
        measure=lambda workbench: workbench.candidate(candidate, "report"),
        slot=outcome.slot,
        candidate=candidate,
        seconds=sum(measured.seconds.values()) if measured else 0.0,
    )
