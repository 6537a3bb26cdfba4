"""A workbench whose recipes remove structures. The search uses it like the one for single weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoprune.candidates.structure_contract import updates_consumer
from autoprune.config_values import Refinement, Update
from autoprune.errors import UsageError
from autoprune.evaluation.structured import StructureBench
from autoprune.evaluation.structured_recipe import StructuredRecipe
from autoprune.evaluation.texts import Split
from autoprune.measuring.workbench import Workbench
from autoprune.phases import BASELINE as ONE_BASELINE
from autoprune.pruning.shapes import STRUCTURES
from autoprune.pruning.structures.table import that_rank
from autoprune.runs.measurement import BASELINE, Measurement

CANDIDATE = "candidate"
"""The algorithm of a candidate's recipe, whose measurements are kept under its hash."""


def published_methods(kinds: Sequence[str]) -> list[str]:
    """The names of the published methods that rank all of these kinds of structures."""
    return that_rank(*kinds)


@dataclass(frozen=True)
class StructuredBaseline:
    """A published method that ranks structures, with a compensation (`none`)."""

    method: str
    compensate: str

    @property
    def name(self) -> str:
        return self.method if self.compensate == "none" else f"{self.method}+{self.compensate}"

    def measured(self, workbench: Workbench, split: Split) -> Measurement:
        """The measurement on a split, from the archive if it is there."""
        assert isinstance(workbench, StructuredWorkbench)
        return workbench.method(self, split)

    def phase(self, workbench: Workbench) -> str:
        """The phase of that measurement: one for each compensation."""
        return ONE_BASELINE if self.compensate == "none" else f"{ONE_BASELINE}, {self.compensate}"


@dataclass
class StructuredWorkbench(Workbench):
    """Its `sparsity` is the share of the decoder blocks' parameters that is removed."""

    def __post_init__(self) -> None:
        """Raises UsageError if the target's structures cannot be removed or compensated."""
        StructureBench.of(self.bench).shape(self._recipe_of("magnitude", self.config.search.compensate))

    def structured_baselines(self) -> Iterator[StructuredBaseline]:
        """Every published method that ranks what is removed, without compensation and with that of the settings."""
        settings = self.config.search
        ways = dict.fromkeys(("none", settings.compensate))
        for way in ways:
            for method in published_methods(settings.kinds):
                yield StructuredBaseline(method, way)

    def method(self, baseline: StructuredBaseline, split: Split) -> Measurement:
        """A published method."""
        recipe = self._recipe_of(baseline.method, baseline.compensate)
        return self.measurer.published(f"{BASELINE}{baseline.name}", baseline.method, recipe, split)

    def seed(self, score: str, split: Split) -> Measurement:
        return self.method(StructuredBaseline(score, self.config.search.compensate), split)

    def baseline(
        self, score: str, allocation: str, split: Split, refinement: Refinement = "none", update: Update = "none"
    ) -> Measurement:
        raise UsageError("a search with --structure has no baselines of single weights")

    def with_pattern(self, pattern: str) -> Workbench:
        raise UsageError(f"whole structures are removed, so the pattern {pattern} has no meaning")

    @property
    def tuned_allocations(self) -> list[str]:
        return []

    def recipe_of_candidate(self, name: str, split: Split) -> StructuredRecipe:
        """The recipe of a candidate: one with an `update` compensates itself, others as the settings say."""
        own = updates_consumer(self.run.source(name))
        return self._recipe_of(CANDIDATE, "none" if own else self.config.search.compensate)

    def _recipe_of(self, algorithm: str, compensate: str) -> StructuredRecipe:
        structure = self.config.search.structure
        assert structure in STRUCTURES  # else the workbench is one of single weights
        return StructuredRecipe(structure, self.sparsity, algorithm, compensate)
