"""Tunes the allocations of published scores on the search split."""

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
"""Scores whose uniform perplexity exceeds the best one's by this factor are not tuned: no allocation can make up."""


def refined_name(score: str, refinement: Refinement) -> str:
    """The name of a published score with its refinement: wanda, wanda+swaps."""
    return score if refinement == "none" else f"{score}+{refinement}"


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

    def tuned(self, score: str, family: str, refinement: Refinement = "none") -> Tuned:
        """The tuned setting of an allocation family for a score and its refinement."""
        return Tuned.of(self.measured(score, family, refinement))

    def measured(self, score: str, family: str, refinement: Refinement = "none") -> Measurement:
        """A score with an allocation that this tuner tunes."""
        unit = self.measurer.config.allocation.unit
        recipe = Recipe(self.sparsity, family, refinement=refinement, unit=unit)
        default = default_of(self.measurer.bench, family, unit, self.sparsity)
        subject = f"{BASELINE}{refined_name(score, refinement)}+{family} tuned"
        plain = None if refinement == "none" else self.tuned(score, family)

        def measure() -> Measurement:
            if plain is not None:
                return tune_refined(self.measurer.bench, score, plain, default, recipe, subject)
            return tune(self.measurer.bench, score, default, recipe, subject)

        return self.measurer.published(subject, score, replace(recipe, setting=default), "search", measure)

    def is_of(self, measurer: Measurer, sparsity: float) -> bool:
        """Whether this tuner has the model and sparsity of a measurement."""
        return (self.measurer.config.model, self.sparsity) == (measurer.config.model, sparsity)
