"""Which baselines a search has: published scores with allocations, and with refinements where those are worth it."""

from collections.abc import Iterator
from typing import NamedTuple

from autoprune.config_sections import BaselineSettings
from autoprune.config_values import Refinement
from autoprune.evaluation.texts import Split
from autoprune.measuring.workbench import Workbench
from autoprune.runs.measurement import Measurement

ALWAYS_REFINED = "wanda"


class Baseline(NamedTuple):
    """A published score with an allocation and a refinement."""

    score: str
    allocation: str
    refinement: Refinement

    def measured(self, workbench: Workbench, split: Split) -> Measurement:
        """On a split, found or made."""
        return workbench.baseline(self.score, self.allocation, split, self.refinement)


def baselines(workbench: Workbench) -> Iterator[Baseline]:
    """All of a workbench's settings: every score without a refinement first, then those that are refined."""
    settings = workbench.config.baselines
    for refinement in sorted(settings.refinements):
        scores = settings.scores if refinement == "none" else refined_scores(workbench)
        for score in scores:
            for allocation in settings.allocations:
                yield Baseline(score, allocation, refinement)


def refined_scores(workbench: Workbench) -> list[str]:
    """The scores whose masks are refined: Wanda, and the one that is best with uniform allocation on the search split.

    The first mask decides little of what swaps end with, and swaps take long. Without unrefined baselines every score
    is refined.
    """
    settings = workbench.config.baselines
    scores: list[str] = list(settings.scores)
    if "none" not in settings.refinements or len(scores) == 1:
        return scores
    best = min(scores, key=workbench.tuner.uniform)
    return [score for score in scores if score in (best, ALWAYS_REFINED)]


def most_refined(settings: BaselineSettings) -> int:
    """How many scores are refined, where the one that is best with uniform allocation is not Wanda."""
    if "swaps" not in settings.refinements:
        return 0
    scores = settings.scores
    return len(scores) if "none" not in settings.refinements else min(len(scores), 1 + (ALWAYS_REFINED in scores))
