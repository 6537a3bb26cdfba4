"""Who takes part in the confirmation, with how many calibration seeds, and what was measured of each."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from autoprune.agents.crew import Crew
from autoprune.config_values import Refinement
from autoprune.errors import CandidateFailure
from autoprune.evaluation.confirmation import Losses
from autoprune.evaluation.tuning import parameters_of
from autoprune.runs.archive import Outcome
from autoprune.runs.measurement import Measurement
from autoprune.tools.baselines import Baseline, baselines
from autoprune.tools.tuner import refined_name
from autoprune.tools.workbench import Workbench


@dataclass(frozen=True)
class Entrant:
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
class Standing:
    """What was measured of an entrant under one condition: calibration seed -> measurement."""

    entrant: Entrant
    measured: dict[int, Measurement] = field(default_factory=dict)
    problem: str = ""

    def take(self, workbench: Workbench, seed: int) -> None:
        """Measure with one more seed. A failure ends it: what fails on some samples is not confirmed."""
        if self.problem:
            return
        try:
            self.measured[seed] = self.entrant.measure(workbench)
        except CandidateFailure as failure:
            self.problem = str(failure) if seed == 0 else f"{failure} (calibration seed {seed})"

    @property
    def name(self) -> str:
        """The entrant's; of a baseline that of what was measured here, for here it may not have been worth tuning."""
        first = next(iter(self.measured.values()), None)
        return self.entrant.name if first is None or self.entrant.candidate else first.name

    @property
    def losses(self) -> Losses | None:
        """By seed and window; None of one that failed."""
        if self.problem:
            return None
        return {seed: row.window_losses for seed, row in self.measured.items()}

    def row(self) -> dict[str, Any]:
        """As the event `confirmed` holds it. `report`: exp of the mean loss over all seeds, None when it failed."""
        entrant = self.entrant
        row: dict[str, Any] = {"name": self.name, "kind": entrant.kind, "search": entrant.search, "report": None}
        if entrant.candidate:
            row["candidate"] = entrant.candidate
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


def entrants(crew: Crew) -> list[Entrant]:
    """All baselines, best on the search split first, then the finalists, the same."""
    return [*_baselines(crew), *_finalists(crew)]


def _baselines(crew: Crew) -> list[Entrant]:
    """The first `confirm_baselines` of them get every seed."""
    settings = crew.config.search
    searched = [(baseline, baseline.measured(crew.workbench, "search")) for baseline in baselines(crew.workbench)]
    found = []
    for place, (baseline, row) in enumerate(sorted(searched, key=lambda each: each[1].perplexity)):
        seeds = settings.confirm_seeds if place < settings.confirm_baselines else 1
        measure = partial(_report_of_baseline, baseline)
        found.append(Entrant(row.name, "baseline", row.perplexity, seeds, measure, baseline=baseline))
    return found


def under_a_pattern(taking_part: list[Entrant]) -> list[Entrant]:
    """Who is measured under an N:M pattern: the finalists, and of the baselines each score with each refinement, for a
    pattern is uniform.

    Each stands where the best placed of its baselines stood, and gets as many samples as that one.
    """
    best: dict[tuple[str, Refinement], Entrant] = {}
    for entrant in taking_part:
        if entrant.baseline is not None:
            best.setdefault((entrant.baseline.score, entrant.baseline.refinement), entrant)
    scores = [
        replace(entrant, name=refined_name(*kind), measure=partial(_report_under_pattern, *kind))
        for kind, entrant in best.items()
    ]
    return [*scores, *(entrant for entrant in taking_part if entrant.kind == "candidate")]


def _report_of_baseline(baseline: Baseline, workbench: Workbench) -> Measurement:
    return baseline.measured(workbench, "report")


def _report_under_pattern(score: str, refinement: Refinement, workbench: Workbench) -> Measurement:
    return workbench.patterned(score, "report", refinement)


def _finalists(crew: Crew) -> list[Entrant]:
    """The best measured candidates; of several slots with the same code the first."""
    unique: dict[str, Outcome] = {}
    for outcome in crew.archive.outcomes():
        if outcome.status == "measured" and outcome.candidate:
            unique.setdefault(outcome.candidate, outcome)
    ranked = sorted(unique.values(), key=lambda outcome: (outcome.data["perplexity"], outcome.slot))
    return [_finalist(crew, outcome) for outcome in ranked[: crew.config.search.finalists]]


def _finalist(crew: Crew, outcome: Outcome) -> Entrant:
    code = str(outcome.candidate)
    return Entrant(
        f"{outcome.slot} {code[:8]}",
        "candidate",
        outcome.data["perplexity"],
        crew.config.search.confirm_seeds,
        lambda workbench: workbench.candidate(code, "report"),
        outcome.slot,
        code,
    )
