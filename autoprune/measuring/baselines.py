"""The baselines of a search: published scores with allocations, the best of them also with refined masks, and in the
league "with update" with updated weights."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from autoprune.config import Config
from autoprune.config_sections import BaselineSettings
from autoprune.config_values import Refinement, Update
from autoprune.evaluation.texts import Split
from autoprune.leagues import WITH_UPDATE
from autoprune.measuring.structured_workbench import StructuredWorkbench
from autoprune.measuring.workbench import Workbench
from autoprune.phases import BASELINE, REFINED, UPDATED
from autoprune.pruning.refinements.table import NONE, spec_of
from autoprune.pruning.updates.table import spec_of as update_of
from autoprune.runs.measurement import Measurement

ALWAYS_REFINED = "wanda"


class AnyBaseline(Protocol):
    """What a search is compared with."""

    def measured(self, workbench: Workbench, split: Split) -> Measurement:
        """The measurement on a split, from the archive if it is there."""

    def phase(self, workbench: Workbench) -> str:
        """The phase of that measurement."""


class Baseline(NamedTuple):
    """A published score with an allocation, a refinement and an update."""

    score: str
    allocation: str
    refinement: Refinement
    update: Update = "none"

    @property
    def kind(self) -> str:
        """The phase of its measurement with a given allocation."""
        return UPDATED if self.update != "none" else REFINED if self.refinement != NONE else BASELINE

    def phase(self, workbench: Workbench) -> str:
        """The phase of its measurement on the search split, where its allocation may be tuned."""
        return phase_of(self.kind, self.allocation, workbench)

    def measured(self, workbench: Workbench, split: Split) -> Measurement:
        """The measurement on a split, from the archive if it is there."""
        return workbench.baseline(self.score, self.allocation, split, self.refinement, self.update)


def phase_of(kind: str, allocation: str, workbench: Workbench) -> str:
    """The phase of baselines of a kind with an allocation; each allocation that is tuned has its own."""
    return f"{kind}, {allocation} tuned" if allocation in workbench.tuned_allocations else kind


def all_baselines(workbench: Workbench) -> Sequence[AnyBaseline]:
    """The baselines of a search of either kind."""
    if isinstance(workbench, StructuredWorkbench):
        return list(workbench.structured_baselines())
    return list(baselines(workbench))


def baselines(workbench: Workbench) -> Iterator[Baseline]:
    """All baselines of the workbench's settings, those without refinement first.

    In the league "with update" there are those with updated weights as well: the updates with masks of their own
    (SparseGPT), and those of the refined masks.
    """
    settings = workbench.config.baselines
    for refinement in sorted(settings.refinements, key=lambda name: (name != NONE, name)):
        scores = settings.scores if refinement == NONE else refined_scores(workbench)
        for score in scores:
            for allocation in settings.allocations:
                yield Baseline(score, allocation, refinement)
    if workbench.config.search.league == WITH_UPDATE:
        for update in settings.updates:
            for score, refinement in _updated(workbench, update):
                for allocation in settings.allocations:
                    yield Baseline(score, allocation, refinement, update)


def _updated(workbench: Workbench, update: Update) -> Iterator[tuple[str, Refinement]]:
    """The scores and refinements whose weights an update improves; where it chooses masks, the score it starts from."""
    spec = update_of(update)
    if spec.choose is not None:
        yield spec.chooses_with, NONE
    if spec.apply is not None:
        for refinement in _before_updates(workbench.config.baselines):
            for score in refined_scores(workbench):
                if (score, refinement) != (spec.chooses_with, NONE):
                    yield score, refinement


def _before_updates(settings: BaselineSettings) -> list[Refinement]:
    """The refinements of the masks of updated baselines: all but none, if there is another one."""
    return [name for name in settings.refinements if name != NONE] or [NONE]


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
    settings = config.baselines
    every = NONE not in settings.refinements
    refined = len(settings.scores) if every else min(len(settings.scores), 1 + (ALWAYS_REFINED in settings.scores))
    scores = refined * len(_before_updates(settings))
    specs = map(update_of, settings.updates)
    kinds = sum((spec.choose is not None) + scores * (spec.apply is not None) for spec in specs)
    return kinds * len(settings.allocations) * (config.search.league == WITH_UPDATE)


def phases_to_come(workbench: Workbench) -> Counter[str]:
    """The largest number of baselines of each phase, while it is not known which scores are refined."""
    if isinstance(workbench, StructuredWorkbench):
        return Counter(each.phase(workbench) for each in all_baselines(workbench))
    config, settings = workbench.config, workbench.config.baselines
    numbers = {
        BASELINE: len(settings.scores) * (NONE in settings.refinements),
        REFINED: most_refined(settings),
        UPDATED: most_updated(config) // len(settings.allocations),
    }
    phases = Counter[str]()
    for kind, allocation in itertools.product(numbers, settings.allocations):
        phases[phase_of(kind, allocation, workbench)] += numbers[kind]
    return phases


def refinement_titles(settings: BaselineSettings) -> dict[str, str]:
    """What improves the masks of refined baselines, by the name of the refinement."""
    return {name: spec_of(name).title for name in settings.refinements if name != NONE}
