"""Tunes the allocations of published scores: where that happens, for which scores, and what came of it."""

import math
from dataclasses import dataclass, replace

from autoprune.config_values import Refinement
from autoprune.errors import CandidateFailure
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.refined_tuning import tune_refined
from autoprune.evaluation.tuning import Tuned, default_of, tune
from autoprune.measuring.measurer import Measurer
from autoprune.runs.measurement import BASELINE, Measurement

FAR_BEHIND = 3.0
"""A score whose uniform perplexity is as many times the best one's is not tuned: no allocation makes up for that."""


def refined_name(score: str, refinement: Refinement) -> str:
    """A published score with what becomes of its masks: wanda, wanda+swaps."""
    return score if refinement == "none" else f"{score}+{refinement}"


@dataclass(frozen=True)
class Tuner:
    """Tunes on the search split of one measurer, at one sparsity. What it found is kept with the measurement that it
    led to."""

    measurer: Measurer
    sparsity: float

    def at(self, sparsity: float) -> "Tuner":
        """The same at another sparsity."""
        return replace(self, sparsity=sparsity)

    def worth_tuning(self, score: str) -> bool:
        """Whether a score is not far behind the best one."""
        uniform = {each: self.uniform(each) for each in (*self.measurer.config.baselines.scores, score)}
        return uniform[score] <= FAR_BEHIND * min(uniform.values())

    def uniform(self, score: str) -> float:
        """A score's perplexity on the search split with uniform allocation; infinite where it is not finite."""
        try:
            recipe = Recipe(self.sparsity, unit=self.measurer.config.allocation.unit)
            return self.measurer.published(f"{BASELINE}{score}+uniform", score, recipe, "search").perplexity
        except CandidateFailure:
            return math.inf

    def tuned(self, score: str, family: str, refinement: Refinement = "none") -> Tuned:
        """How a family is tuned for a score and its refinement."""
        return Tuned.of(self.measured(score, family, refinement))

    def measured(self, score: str, family: str, refinement: Refinement = "none") -> Measurement:
        """A score with an allocation that is tuned here, on the search split."""
        settings = self.measurer.config.allocation
        recipe = Recipe(self.sparsity, family, refinement=refinement, unit=settings.unit)
        default = default_of(self.measurer.bench, family, settings, self.sparsity)
        subject = f"{BASELINE}{refined_name(score, refinement)}+{family} tuned"
        plain = None if refinement == "none" else self.tuned(score, family)

        def measure() -> Measurement:
            if plain is not None:
                return tune_refined(self.measurer.bench, score, plain, default, recipe, subject)
            return tune(self.measurer.bench, score, default, recipe, subject)

        return self.measurer.published(subject, score, replace(recipe, setting=default), "search", measure)

    def is_of(self, measurer: Measurer, sparsity: float) -> bool:
        """Whether this is where such a measurement would be tuned: the same model and sparsity."""
        return (self.measurer.config.model, self.sparsity) == (measurer.config.model, sparsity)
