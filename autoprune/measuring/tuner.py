"""Tunes the allocations of published scores on the search split."""

import math
from dataclasses import asdict, dataclass, replace

from autoprune.config_values import Refinement, Update
from autoprune.errors import CandidateFailure
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.refined_tuning import tune_refined
from autoprune.evaluation.tuning import Tuned, default_of, measure_setting, most_windows, settings_of, tune
from autoprune.measuring.measurer import Measurer
from autoprune.pruning.updates.table import spec_of as update_of
from autoprune.runs.measurement import BASELINE, Measurement

FAR_BEHIND = 3.0
"""Scores whose uniform perplexity exceeds the best one's by this factor are not tuned: no allocation can make up."""
WEIGHTED = "wanda"
"""The score whose tuned setting is the start for updates with masks of their own."""


def full_name(score: str, refinement: Refinement, update: Update = "none") -> str:
    """The name of a published score with its refinement and update: wanda, wanda+swaps, wanda+swaps+admm."""
    return "+".join((score, *(part for part in (refinement, update) if part != "none")))


@dataclass(frozen=True)
class Tuner:
    """Tunes on the search split of one measurer at one sparsity. The result is stored with its measurement."""

    measurer: Measurer
    sparsity: float

    def at(self, sparsity: float) -> "Tuner":
        return replace(self, sparsity=sparsity)

    def worth_tuning(self, score: str) -> bool:
        """Whether a score is not far behind the best one."""
        uniform = {name: self.uniform(name) for name in (*self.measurer.config.baselines.scores, score)}
        return uniform[score] <= FAR_BEHIND * min(uniform.values())

    def uniform(self, score: str) -> float:
        """A score's perplexity on the search split with uniform allocation; infinity if it is not finite."""
        try:
            recipe = Recipe(self.sparsity, unit=self.measurer.config.allocation.unit)
            return self.measurer.published(f"{BASELINE}{score}+uniform", score, recipe, "search").perplexity
        except CandidateFailure:
            return math.inf

    def trials(self, family: str) -> tuple[int, int]:
        """The number of an allocation family's settings, and of the windows that are measured to tune it for a score
        without refinement."""
        bench, unit = self.measurer.bench, self.measurer.config.allocation.unit
        settings = len(settings_of(bench, default_of(bench, family, unit, self.sparsity), self.sparsity))
        return settings, most_windows(settings, len(bench.windows("search").tokens))

    def tuned(self, score: str, family: str, refinement: Refinement = "none", update: Update = "none") -> Tuned:
        """The tuned setting of an allocation family for a score, its refinement and its update."""
        return Tuned.of(self.measured(score, family, refinement, update))

    def measured(
        self, score: str, family: str, refinement: Refinement = "none", update: Update = "none"
    ) -> Measurement:
        """A score with an allocation that this tuner tunes; an update that is `tuned_as` another one has its
        setting."""
        bench, unit = self.measurer.bench, self.measurer.config.allocation.unit
        recipe = Recipe(self.sparsity, family, refinement=refinement, update=update, unit=unit)
        default = default_of(bench, family, unit, self.sparsity)
        subject = f"{BASELINE}{full_name(score, refinement, update)}+{family} tuned"
        start = self._start(score, family, refinement, update)

        def measure() -> Measurement:
            if start is None:
                return tune(bench, score, default, recipe, subject)
            if update != "none" and update_of(update).tuned_as:
                measured = measure_setting(bench, score, start.setting, recipe, subject)
                return measured.model_copy(update={"tuning": asdict(start)})
            return tune_refined(bench, score, start, default, recipe, subject)

        return self.measurer.published(subject, score, replace(recipe, setting=default), "search", measure)

    def _start(self, score: str, family: str, refinement: Refinement, update: Update) -> Tuned | None:
        """The setting from which the search for that of refined masks or updated weights starts."""
        if update != "none":
            spec = update_of(update)
            if spec.tuned_as:
                return self.tuned(score, family, refinement, spec.tuned_as)
            return self.tuned(WEIGHTED if score == spec.chooses_with else score, family, refinement)
        return None if refinement == "none" else self.tuned(score, family)

    def is_of(self, measurer: Measurer, sparsity: float) -> bool:
        """Whether this tuner has the model and sparsity of a measurement."""
        return (self.measurer.config.model, self.sparsity) == (measurer.config.model, sparsity)
