"""Who takes part in the confirmation, with how many calibration seeds, and what was measured of each."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from autoprune.config_values import Refinement
from autoprune.errors import CandidateFailure
from autoprune.evaluation.confirmation import Losses
from autoprune.evaluation.tuning import parameters_of
from autoprune.measuring.baselines import Baseline, baselines
from autoprune.measuring.tuner import refined_name
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Outcome
from autoprune.runs.measurement import Measurement
from autoprune.search.context import SearchContext


@dataclass(frozen=True)
class Contender:
    """A finalist or a baseline. `measure` takes it to a workbench's report split; `seeds`: how many samples it gets.

    `slot`, `candidate`: of a finalist; `baseline`: of a baseline.
    """

    name: str
    kind: Literal["baseline", "candidate"]
    search: float
    seeds: int
    measure: Callable[[Workbench], Measurement]
    slot: str = ""
    candidate: str = ""
    baseline: Baseline | None = None


@dataclass
class ContenderResult:
    """What was measured of an contender under one condition: calibration seed -> measurement."""

    contender: Contender
    measured: dict[int, Measurement] = field(default_factory=dict)
    problem: str = ""

    def take(self, workbench: Workbench, seed: int) -> None:
        """Measure with one more seed. A failure ends it: what fails on some samples is not confirmed."""
        if self.problem:
            return
        try:
            self.measured[seed] = self.contender.measure(workbench)
        except CandidateFailure as failure:
            self.problem = str(failure) if seed == 0 else f"{failure} (calibration seed {seed})"

    @property
    def name(self) -> str:
        """The contender's; of a baseline that of what was measured here, for here it may not have been worth tuning."""
        first = next(iter(self.measured.values()), None)
        return self.contender.name if first is None or self.contender.candidate else first.name

    @property
    def losses(self) -> Losses | None:
        """By seed and window; None of one that failed."""
        if self.problem:
            return None
        return {seed: row.window_losses for seed, row in self.measured.items()}

    def row(self) -> dict[str, Any]:
        """As the event `confirmed` holds it. `report`: exp of the mean loss over all seeds, None when it failed."""
        contender = self.contender
        row: dict[str, Any] = {"name": self.name, "kind": contender.kind, "search": contender.search, "report": None}
        if contender.candidate:
            row["candidate"] = contender.candidate
        if self.problem:
            return {**row, "problem": self.problem}
        first, by_seed = next(iter(self.measured.values())), [each.perplexity for each in self.measured.values()]
        report = by_seed[0] if len(by_seed) == 1 else math.exp(fmean(map(math.log, by_seed)))
        facts: dict[str, Any] = {
            "sparsity": first.sparsity,
            "zeros": first.zeros,
            "weights": first.weights,
            "bos": first.bos,
        }
        if said := parameters_of(first):
            facts["parameters"] = said
        return {**row, "report": report, **facts, "seeds": list(self.measured), "by_seed": by_seed}


def contenders(context: SearchContext) -> list[Contender]:
    """All baselines, best on the search split first, then the finalists, the same."""
    return [*_baselines(context), *_finalists(context)]


def _baselines(context: SearchContext) -> list[Contender]:
    """The first `confirmation.baselines` of them get every seed."""
    settings = context.config.confirmation
    searched = [(baseline, baseline.measured(context.workbench, "search")) for baseline in baselines(context.workbench)]
    found = []
    for place, (baseline, row) in enumerate(sorted(searched, key=lambda each: each[1].perplexity)):
        seeds = settings.seeds if place < settings.baselines else 1
        measure = partial(_report_of_baseline, baseline)
        found.append(Contender(row.name, "baseline", row.perplexity, seeds, measure, baseline=baseline))
    return found


def under_a_pattern(taking_part: list[Contender]) -> list[Contender]:
    """Who is measured under an N:M pattern: the finalists, and of the baselines each score with each refinement, for a
    pattern is uniform.

    Each stands where the best placed of its baselines stood, and gets as many samples as that one.
    """
    best: dict[tuple[str, Refinement], Contender] = {}
    for contender in taking_part:
        if contender.baseline is not None:
            best.setdefault((contender.baseline.score, contender.baseline.refinement), contender)
    scores = [
        replace(contender, name=refined_name(*kind), measure=partial(_report_under_pattern, *kind))
        for kind, contender in best.items()
    ]
    return [*scores, *(contender for contender in taking_part if contender.kind == "candidate")]


def _report_of_baseline(baseline: Baseline, workbench: Workbench) -> Measurement:
    return baseline.measured(workbench, "report")


def _report_under_pattern(score: str, refinement: Refinement, workbench: Workbench) -> Measurement:
    return workbench.patterned(score, "report", refinement)


def _finalists(context: SearchContext) -> list[Contender]:
    """The best measured candidates; of several slots with the same code the first."""
    unique: dict[str, Outcome] = {}
    for outcome in context.archive.outcomes():
        if outcome.status == "measured" and outcome.candidate:
            unique.setdefault(outcome.candidate, outcome)
    ranked = sorted(unique.values(), key=lambda outcome: (outcome.data["perplexity"], outcome.slot))
    return [_finalist(context, outcome) for outcome in ranked[: context.config.confirmation.finalists]]


def _finalist(context: SearchContext, outcome: Outcome) -> Contender:
    code = str(outcome.candidate)
    return Contender(
        f"{outcome.slot} {code[:8]}",
        "candidate",
        outcome.data["perplexity"],
        context.config.confirmation.seeds,
        lambda workbench: workbench.candidate(code, "report"),
        outcome.slot,
        code,
    )
