"""The baselines of a search: published scores with allocations, the best of them also with refined masks."""

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
        """The measurement on a split, from the archive if it is there."""
        return workbench.baseline(self.score, self.allocation, split, self.refinement)


def baselines(workbench: Workbench) -> Iterator[Baseline]:
    """All baselines of the workbench's settings, those without refinement first."""
    settings = workbench.config.baselines
    for refinement in sorted(settings.refinements):
        scores = settings.scores if refinement == "none" else refined_scores(workbench)
        for score in scores:
            for allocation in settings.allocations:
                yield Baseline(score, allocation, refinement)


def refined_scores(workbench: Workbench) -> list[str]:
    """The scores whose masks are refined: Wanda, and the best one with uniform allocation on the search split.

    Swaps take long, and their result depends little on the initial mask. Without unrefined baselines every score is
    refined.
    """
    settings = workbench.config.baselines
    scores: list[str] = list(settings.scores)
    if "none" not in settings.refinements or len(scores) == 1:
        return scores
    best = min(scores, key=workbench.tuner.uniform)
    return [score for score in scores if score in (best, ALWAYS_REFINED)]


def most_refined(settings: BaselineSettings) -> int:
    """The largest number of scores that are refined: Wanda need not be the best with uniform allocation."""
    if "swaps" not in settings.refinements:
        return 0
    scores = settings.scores
    return len(scores) if "none" not in settings.refinements else min(len(scores), 1 + (ALWAYS_REFINED in scores))
