"""The recipe of `literature.py`: its YAML as data, the cells that it asks for, and the memory that these need."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoprune.candidates.composition import defines
from autoprune.config import Config, load_config
from autoprune.config_values import Statistics
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published as PublishedScore
from autoprune.evaluation.memory_estimate import MemoryEstimate
from autoprune.evaluation.recipe import Recipe as PruningRecipe
from autoprune.measuring.algorithms import find_algorithm
from autoprune.models.footprint import Footprint
from autoprune.models.loading import DTYPES
from autoprune.pruning.allocation.table import OWN
from autoprune.pruning.published import PUBLISHED
from autoprune.text_files import read_text_file
from autoprune.yaml_text import read_yaml

DENSE = "dense"
At = float | str
"""A sparsity, a pattern N:M, or DENSE."""


class Data(BaseModel):
    """A part of the recipe; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Model(Data):
    """`id`: a directory or a hub id; `config`: of transformers' Llama, for the plan."""

    name: str
    id: str
    config: dict[str, Any]


class Algorithm(Data):
    """A published score or a shipped discovery, with what is done to its masks and weights."""

    name: str
    score: str
    update: str = "none"
    refinement: str = "none"
    allocations: list[str]


class Figure(Data):
    """A published perplexity."""

    algorithm: str = DENSE
    allocation: str = "uniform"
    at: At
    perplexity: float


class Published(Data):
    """Figures of one source on one model."""

    source: str
    model: str
    window: int
    figures: list[Figure]


@dataclass(frozen=True)
class Cell:
    """One measurement. `recipe`: None for the dense model."""

    name: str
    model: str
    window: int
    at: At
    algorithm: str
    score: str
    allocation: str
    recipe: PruningRecipe | None

    @property
    def reads_gradient(self) -> bool:
        """Whether the gradient, or the source of a discovery that names it, needs room beside the model."""
        if self.recipe is None:
            return False
        if self.score in PUBLISHED:
            return "gradient" in PUBLISHED[self.score].needs
        return "gradient" in (find_algorithm(self.score).source or "")


class Recipe(Data):
    """Everything that `literature.yaml` says. `report_windows`: None for the whole test split."""

    data: str
    calibration: str
    calibration_samples: int
    dtype: str
    device: str
    statistics: Statistics
    sandbox_seconds: float
    sandbox_memory_mb: int
    windows: list[int] = Field(min_length=1)
    sparsities: list[float]
    patterns: list[str]
    tasks: list[str]
    models: list[Model] = Field(min_length=1)
    algorithms: list[Algorithm]
    published: list[Published] = []
    report_windows: int | None = None

    def __hash__(self) -> int:
        return id(self)

    def model(self, name: str) -> Model:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)

    def cells(self) -> Iterator[Cell]:
        """All cells, by model and window, the dense one first."""
        for model in self.models:
            for window in self.windows:
                place = f"{model.name}/{window}"
                yield Cell(f"{place}/{DENSE}", model.name, window, DENSE, DENSE, "", "", None)
                for at in (*self.sparsities, *self.patterns):
                    for algorithm in self.algorithms:
                        for allocation in ["uniform"] if isinstance(at, str) else algorithm.allocations:
                            recipe = self._recipe(algorithm, at, allocation)
                            words = (place, f"{at}", algorithm.name, allocation)
                            score = algorithm.score
                            yield Cell(
                                "/".join(words), model.name, window, at, algorithm.name, score, allocation, recipe
                            )

    def published_of(self, cell: Cell) -> list[tuple[str, float]]:
        """Published perplexities of a cell, with their sources."""
        return [
            (published.source, figure.perplexity)
            for published in self.published
            if (published.model, published.window) == (cell.model, cell.window)
            for figure in published.figures
            if figure.at == cell.at and figure.algorithm == cell.algorithm
            if cell.at == DENSE or figure.allocation == cell.allocation
        ]

    def settings(self, model: str, window: int, report_windows: int) -> list[str]:
        """Settings of the package, as `key=value`. Without BOS, as in the papers' code."""
        return [
            f"model={model}",
            f"device={self.device}",
            f"dtype={self.dtype}",
            f"data.source={self.data}",
            f"data.calibration={self.calibration}",
            f"data.calibration_samples={self.calibration_samples}",
            f"data.seqlen={window}",
            "data.search_windows=1",
            f"data.report_windows={report_windows}",
            "data.bos=never",
            f"sandbox.seconds={self.sandbox_seconds}",
            f"sandbox.memory_mb={self.sandbox_memory_mb}",
        ]

    def _recipe(self, algorithm: Algorithm, at: At, allocation: str) -> PruningRecipe:
        pattern = at if isinstance(at, str) else "none"
        sparsity = None if isinstance(at, str) else at
        given = PruningRecipe.given(sparsity, allocation, algorithm.update, pattern, refinement=algorithm.refinement)
        return replace(given, statistics=self.statistics)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a file with changes by `key=value`, checked as far as that goes without loading a model.

    Raises UsageError for anything that cannot be used.
    """
    try:
        tree = read_yaml(read_text_file(path, "the recipe"))
        if not isinstance(tree, dict):
            raise UsageError(f"{path} must hold a mapping, not a {type(tree).__name__}")
        for change in changes:
            key, equals, value = change.partition("=")
            if not equals:
                raise UsageError(f"{change!r} is not of the form key=value")
            tree[key] = read_yaml(value)
        recipe = Recipe.model_validate(tree)
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        raise UsageError(f"{path} cannot be used: {error}") from None
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    """Raises UsageError for algorithms, recipes and settings that the package does not have."""
    for algorithm in recipe.algorithms:
        source = find_algorithm(algorithm.score).source
        if OWN in algorithm.allocations and (source is None or not defines(source, "allocate")):
            raise UsageError(f"{algorithm.name}: {algorithm.score} has no allocation of its own")
    for cell in recipe.cells():
        if cell.recipe is not None and cell.score in PUBLISHED:
            cell.recipe.check(PublishedScore.named(cell.score))
    names = {algorithm.name for algorithm in recipe.algorithms} | {DENSE}
    models = {model.name for model in recipe.models}
    for published in recipe.published:
        if published.model not in models:
            continue  # of a model that a change left out
        for figure in published.figures:
            if figure.algorithm not in names:
                raise UsageError(f"published: there is no algorithm {figure.algorithm!r} in the recipe")
    _settings(recipe, recipe.models[0].id, recipe.windows[0])


def _settings(recipe: Recipe, model: str, window: int) -> Config:
    return load_config(None, recipe.settings(model, window, recipe.report_windows or 1))


def device_bytes(recipe: Recipe, model: str, window: int, gradient: bool) -> int:
    """Bytes of the device that pruning and measuring need at most, beside lm-eval's batches.

    `gradient`: whether it is collected, which takes four bytes for each weight.
    """
    from accelerate import init_empty_weights
    from transformers import LlamaConfig, LlamaForCausalLM

    known = recipe.model(model)
    with init_empty_weights(include_buffers=False):
        size = Footprint(LlamaForCausalLM(LlamaConfig(**known.config)))
    estimate = MemoryEstimate(size, _settings(recipe, known.id, window), DTYPES[recipe.dtype], "none", gpu=True)
    statistics = estimate.statistics().device + 4 * size.prunable * gradient
    return max(estimate.load().device, statistics, estimate.measuring(1, refined=True).device)
