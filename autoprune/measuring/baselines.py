"""The baselines of a search: published scores with allocations, the best of them also with refined masks, and in the
league "with update" with updated weights."""

from collections.abc import Iterator
from typing import NamedTuple

from autoprune.config import Config
from autoprune.config_sections import BaselineSettings
from autoprune.config_values import Refinement, Update
from autoprune.evaluation.texts import Split
from autoprune.leagues import WITH_UPDATE
from autoprune.measuring.workbench import Workbench
from autoprune.pruning.refinements.table import NONE, spec_of
from autoprune.runs.measurement import Measurement

ALWAYS_REFINED = "wanda"
UPDATE: Update = "obs"
"""The update of the baselines in the league "with update"."""


class Baseline(NamedTuple):
    """A published score with an allocation, a refinement and an update."""

    score: str
    allocation: str
    refinement: Refinement
    update: Update = "none"

    def measured(self, workbench: Workbench, split: Split) -> Measurement:
        """The measurement on a split, from the archive if it is there."""
        if self.update != "none":
            return workbench.updated(self.score, self.allocation, split, self.update)
        return workbench.baseline(self.score, self.allocation, split, self.refinement)


def baselines(workbench: Workbench) -> Iterator[Baseline]:
    """All baselines of the workbench's settings, those without refinement first.

    In the league "with update", the scores that would be refined are also measured with OBS, with uniform allocation
    and that of candidates without their own.
    """
    settings = workbench.config.baselines
    for refinement in sorted(settings.refinements, key=lambda name: (name != NONE, name)):
        scores = settings.scores if refinement == NONE else refined_scores(workbench)
        for score in scores:
            for allocation in settings.allocations:
                yield Baseline(score, allocation, refinement)
    if workbench.config.search.league == WITH_UPDATE:
        for score in refined_scores(workbench):
            for allocation in _updated_allocations(workbench.config):
                yield Baseline(score, allocation, "none", UPDATE)


def _updated_allocations(config: Config) -> list[str]:
    return list(dict.fromkeys(("uniform", config.allocation.name)))


def refined_scores(workbench: Workbench) -> list[str]:
    """The scores whose masks are refined: Wanda, and the best one with uniform allocation on the search split.

    Refinements take long, and their result depends little on the initial mask. Without unrefined baselines every score
    is refined.
    """
    settings = workbench.config.baselines
    scores: list[str] = list(settings.scores)
    if NONE not in settings.refinements or len(scores) == 1:
        return scores
    best = min(scores, key=workbench.tuner.uniform)
    return [score for score in scores if score in (best, ALWAYS_REFINED)]


def most_refined(settings: BaselineSettings) -> int:
    """The largest number of scores that are refined, once for each refinement: Wanda need not be the best with uniform
    allocation."""
    refinements, scores = len(refinement_titles(settings)), settings.scores
    if NONE not in settings.refinements:
        return refinements * len(scores)
    return refinements * min(len(scores), 1 + (ALWAYS_REFINED in scores))


def most_updated(config: Config) -> int:
    """The largest number of baselines whose kept weights are updated."""
    scores = min(len(config.baselines.scores), 1 + (ALWAYS_REFINED in config.baselines.scores))
    return scores * len(_updated_allocations(config)) * (config.search.league == WITH_UPDATE)


def refinement_titles(settings: BaselineSettings) -> dict[str, str]:
    """What improves the masks of refined baselines, by the name of the refinement."""
    return {name: spec_of(name).title for name in settings.refinements if name != NONE}
