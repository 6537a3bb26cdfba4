"""Measures by name under one condition: a sparsity or an N:M pattern, a calibration sample, and a model."""

from dataclasses import dataclass, replace

from autoprune.candidates.contract import edits_defined
from autoprune.config import Config
from autoprune.config_values import Refinement, Update
from autoprune.errors import UsageError
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.structured_evaluator import AnyRecipe
from autoprune.evaluation.texts import Split
from autoprune.evaluation.tuning import Tuned, default_of
from autoprune.measuring.measurer import Measurer
from autoprune.measuring.tuner import Tuner, full_name
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import TUNABLE
from autoprune.pruning.masks import parse_pattern
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.measurement import BASELINE, DENSE, Measurement


@dataclass
class Workbench:
    """A measurer at one sparsity or under one pattern. `tuner`: tunes the allocations that are used here.

    Without `confirmation.tune_elsewhere` it is the search's tuner, at the run's own sparsity and on its model.
    """

    measurer: Measurer
    tuner: Tuner
    sparsity: float
    pattern: str = "none"

    @classmethod
    def of(cls, measurer: Measurer) -> "Workbench":
        """A workbench at the sparsity of the settings."""
        sparsity = measurer.config.sparsity
        return cls(measurer, Tuner(measurer, sparsity), sparsity)

    @property
    def config(self) -> Config:
        return self.measurer.config

    @property
    def bench(self) -> Bench:
        return self.measurer.bench

    @property
    def run(self) -> RunDirectory:
        return self.measurer.run

    @property
    def archive(self) -> Archive:
        return self.measurer.store.archive

    def calibrated(self, seed: int) -> "Workbench":
        """The same target and archive with the calibration sample of another seed (0: the run's own)."""
        if not seed:
            return self
        other = replace(self.measurer, bench=self.bench.calibrated(seed), executor=None, _asked={})
        return replace(self, measurer=other)

    def with_sparsity(self, sparsity: float) -> "Workbench":
        tuner = self.tuner.at(sparsity) if self.config.confirmation.tune_elsewhere else self.tuner
        return replace(self, sparsity=sparsity, tuner=tuner)

    def with_pattern(self, pattern: str) -> "Workbench":
        """The same under a pattern N:M, which only `patterned` and `candidate` support.

        Raises UsageError for a pattern that does not divide a layer's inputs.
        """
        parsed = parse_pattern(pattern)
        if parsed is None:
            raise UsageError(f"{pattern!r} is no pattern N:M")
        kept, of = parsed
        for layer in self.bench.layers:
            if layer.shape[1] % of:
                raise UsageError(f"the pattern {pattern} does not divide the {layer.shape[1]} inputs of {layer.name}")
        return replace(self.with_sparsity(1.0 - kept / of), pattern=pattern)

    def with_model(self, model: str) -> "Workbench":
        """Load another target with the same texts, and `confirmation.transfer_windows` windows per split if set.

        Raises UsageError for a model that cannot be used.
        """
        data, windows = self.config.data, self.config.confirmation.transfer_windows
        if windows is not None:
            data = data.model_copy(update={"search_windows": windows, "report_windows": windows})
        config = self.config.model_copy(update={"model": model, "data": data})
        bench = open_bench(config, self.run.path)
        other = replace(self.measurer, config=config, bench=bench, executor=None, _asked={})
        tuner = Tuner(other, self.sparsity) if config.confirmation.tune_elsewhere else self.tuner
        return replace(self, measurer=other, tuner=tuner)

    def dense(self, split: Split) -> Measurement:
        return self.measurer.dense(split)

    def baseline(
        self,
        score: str,
        allocation: str,
        split: Split,
        refinement: Refinement = "none",
        update: Update = "none",
    ) -> Measurement:
        """A published score with an allocation, a refinement and an update, tuned if the settings say so.

        Then the measurement has its `tuning`, or is marked `untuned` if the score is far behind the best one.
        """
        if not self.config.baselines.tune or allocation not in TUNABLE:
            return self._published(score, allocation, split, refinement, update)
        if update != "none" or self.tuner.worth_tuning(score):
            return self._tuned(score, allocation, split, refinement, update)
        return self._published(score, allocation, split, refinement).model_copy(update={"untuned": True})

    @property
    def tuned_allocations(self) -> list[str]:
        settings = self.config.baselines
        return [name for name in settings.allocations if name in TUNABLE] if settings.tune else []

    def seed(self, score: str, split: Split) -> Measurement:
        """A published score measured like a candidate, with the candidates' default allocation."""
        return self._published(score, self.config.allocation.name, split)

    def patterned(
        self, score: str, split: Split, refinement: Refinement = "none", update: Update = "none"
    ) -> Measurement:
        """A published score with a refinement and an update under this workbench's pattern."""
        recipe = self._recipe("uniform", split, refinement, update)
        return self.measurer.published(f"{BASELINE}{full_name(score, refinement, update)}", score, recipe, split)

    def candidate(self, name: str, split: Split, ladder: Ladder = EVERYTHING) -> Measurement:
        """A candidate, with its own allocation or that of the settings. See Measurer."""
        return self.measurer.candidate(name, self.recipe_of_candidate(name, split), split, ladder)

    def recorded(self, subject: str, split: Split) -> Measurement | None:
        """The archive's measurement of a candidate, or of a baseline that was requested before."""
        is_baseline = subject == DENSE or subject.startswith(BASELINE)
        recipe = None if is_baseline else self.recipe_of_candidate(subject, split)
        return self.measurer.known(subject, split, recipe)

    def verify(self) -> None:
        """Raises AutoPruneError if the target's weights have changed since the run began."""
        self.measurer.verify()

    @property
    def candidates_recipe(self) -> Recipe:
        """The recipe of candidates on the search split: with their own allocation, or that of the settings."""
        if self.pattern != "none":
            return self._recipe("uniform")
        allocation = self.config.allocation.name
        return self._recipe(allocation, setting=self._untuned(allocation), own_first=True)

    def recipe_of_candidate(self, name: str, split: Split) -> AnyRecipe:
        """The same on any split: a candidate that updates weights has sequential statistics on the report split."""
        updates = split == "report" and "update" in edits_defined(self.run.source(name))
        return replace(self.candidates_recipe, statistics="sequential") if updates else self.candidates_recipe

    def _published(
        self, score: str, allocation: str, split: Split, refinement: Refinement = "none", update: Update = "none"
    ) -> Measurement:
        subject = f"{BASELINE}{full_name(score, refinement, update)}+{allocation}"
        recipe = self._recipe(allocation, split, refinement, update, setting=self._untuned(allocation))
        return self.measurer.published(subject, score, recipe, split)

    def _untuned(self, allocation: str) -> Setting | None:
        """SDSA with its default parameters; None for other allocations."""
        unit = self.config.allocation.unit
        return default_of(self.bench, allocation, unit, self.sparsity) if allocation == "sdsa" else None

    def _tuned(
        self, score: str, family: str, split: Split, refinement: Refinement = "none", update: Update = "none"
    ) -> Measurement:
        here = self.tuner.is_of(self.measurer, self.sparsity)
        if here and split == "search" and self.bench is self.tuner.measurer.bench:
            return self.tuner.measured(score, family, refinement, update)
        tuned = self.tuner.measured(score, family, refinement, update)
        subject = f"{BASELINE}{full_name(score, refinement, update)}+{family} tuned{' in the search' * (not here)}"
        setting = Tuned.of(tuned).setting
        recipe = self._recipe(family, split, refinement, update, setting=setting, by=score)
        measured = self.measurer.published(subject, score, recipe, split)
        return measured.model_copy(update={"tuning": tuned.tuning})

    def _recipe(
        self,
        allocation: str,
        split: Split = "search",
        refinement: Refinement = "none",
        update: Update = "none",
        setting: Setting | None = None,
        by: str = "",
        own_first: bool = False,
    ) -> Recipe:
        """With an update, statistics on the report split are sequential; searching with them would take too long."""
        return Recipe(
            self.sparsity,
            allocation,
            update=update,
            statistics="sequential" if update != "none" and split == "report" else "dense",
            pattern=self.pattern,
            unit=self.config.allocation.unit,
            refinement=refinement,
            setting=setting,
            allocated_by=by,
            own_first=own_first,
        )
