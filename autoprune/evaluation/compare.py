"""Comparison of algorithms, allocations, updates and seeds on one target, as rows, and their spread over seeds."""

import itertools
import logging
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Algorithm
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.completions import complete
from autoprune.evaluation.evaluator import dense, measure
from autoprune.evaluation.pruned import NotFinite, unmeasured
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split, check_samples
from autoprune.leagues import MASK_ONLY, League
from autoprune.models.target import Target
from autoprune.runs.measurement import DENSE, Measurement

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One experiment in the format of `autoprune compare --json`. Seconds are wall clock. `perplexity` is None if it is
    not finite or the experiment failed. `repeats`: whether a candidate's scores are repeatable, None if not checked.
    `bos`: the token before each window. `league`: mask, or update if kept weights are updated.
    `found`: the found functions that a candidate holds, by commas. `completions`: of built-in prompts, if asked."""

    algorithm: str
    allocation: str
    update: str
    pattern: str
    sparsity_target: float
    sparsity_actual: float
    zeros: int
    weights: int
    perplexity: float | None
    seqlen: int
    windows: int
    seconds_statistics: float
    seconds_score: float
    seconds_mask: float
    seconds_eval: float
    statistics: str
    seed: int
    repeats: bool | None = None
    bos: str | None = None
    refinement: str = "none"
    league: League = MASK_ONLY
    found: str = ""
    completions: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether pruning failed, so that nothing was measured."""
        return self.perplexity is None and self.zeros == 0


def run(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    split: Split,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
    completions: int = 0,
) -> Row:
    """Prune, measure on a split, complete built-in prompts, and restore the dense weights."""
    texts: list[str] = []

    def look(target: Target) -> None:
        texts.extend(complete(target, completions))

    try:
        measured = measure(bench, algorithm, recipe, split, advance=advance, look=look)
    except NotFinite as failure:
        measured = failure.measured
    spent = bench.take_statistics_seconds()
    return replace(_row(algorithm.name, recipe, measured, seed, spent), completions=texts)


def _row(algorithm: str, recipe: Recipe, measured: Measurement, seed: int = 0, statistics: float = 0.0) -> Row:
    value, seconds = measured.perplexity, measured.seconds
    return Row(
        algorithm=algorithm,
        allocation=recipe.allocation,
        update=recipe.update,
        pattern=recipe.pattern,
        sparsity_target=recipe.sparsity,
        sparsity_actual=measured.sparsity,
        zeros=measured.zeros,
        weights=measured.weights,
        perplexity=value if math.isfinite(value) else None,
        seqlen=measured.seqlen,
        windows=measured.windows,
        seconds_statistics=seconds.get("statistics", 0.0) + statistics,
        seconds_score=seconds.get("score", 0.0),
        seconds_mask=seconds.get("mask", 0.0),
        seconds_eval=seconds.get("eval", 0.0),
        statistics=recipe.statistics,
        seed=seed,
        repeats=measured.repeats,
        bos=measured.bos,
        refinement=recipe.refinement,
        league=measured.league,
    )


def compare(
    config: Config,
    algorithms: Sequence[Algorithm],
    recipes: Sequence[Recipe],
    seeds: int,
    split: Split = "report",
    live: Target | None = None,
    completions: int = 0,
) -> Iterator[Row]:
    """A row for the dense model, then one for every seed, recipe and algorithm, as they are measured.

    Seed 0 calibrates on the first sequences of the calibration text, other seeds on random ones. Failed experiments are
    logged and have rows without perplexity. `completions`: how many built-in prompts the dense model and those of seed
    0 complete. `live`: a target in place of the configured model. Raises UsageError for an invalid recipe before
    anything is loaded.
    """
    for algorithm, recipe in itertools.product(algorithms, recipes):
        recipe.check(algorithm)
    first = open_bench(config, None, live)
    check_samples(first.target, config.data, seeds)
    yield replace(dense_row(first, split), completions=complete(first.target, completions))
    for seed in range(seeds):
        bench = first.calibrated(seed) if seed else first
        for recipe, algorithm in itertools.product(recipes, algorithms):
            try:
                row = run(bench, algorithm, recipe, split, seed, completions=0 if seed else completions)
                if row.repeats is False:
                    logger.warning(f"{_named(algorithm, recipe)}: {NOT_REPEATABLE}; its perplexity may not come back")
            except (AutoPruneError, CandidateFailure) as error:
                logger.warning(f"{_named(algorithm, recipe)}: {error}")
                row = _row(algorithm.name, recipe, unmeasured(bench, "", split, 0, recipe.league(algorithm)), seed)
            yield replace(row, found=", ".join(algorithm.found))


def _named(algorithm: Algorithm, recipe: Recipe) -> str:
    return f"{algorithm.name}, {recipe.allocation}, {recipe.refinement}, {recipe.update}, {recipe.pattern}"


def dense_row(bench: Bench, split: Split) -> Row:
    """The unpruned target as a row of the algorithm `dense`."""
    return replace(_row(DENSE, Recipe(0.0, "none"), dense(bench, split)), statistics="none")


@dataclass(frozen=True)
class Spread:
    """Statistics of the perplexities of rows that differ only in the seed: `deviation` is the sample standard
    deviation, None for a single seed. All are None if a perplexity is not finite. `repeatable`: whether no row has
    `repeats` False."""

    row: Row
    seeds: int
    mean: float | None
    deviation: float | None
    least: float | None
    largest: float | None
    repeatable: bool


def spread(rows: Sequence[Row]) -> list[Spread]:
    """Rows grouped over seeds, in order of first appearance; `row` is the first of a group."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        recipe = (row.allocation, row.refinement, row.update, row.pattern, row.sparsity_target, row.statistics)
        key = (row.algorithm, *recipe)
        groups.setdefault(key, []).append(row)
    return [_spread(group) for group in groups.values()]


def _spread(group: Sequence[Row]) -> Spread:
    values = [row.perplexity for row in group if row.perplexity is not None]
    repeatable = all(row.repeats is not False for row in group)
    if len(values) < len(group):
        return Spread(group[0], len(group), None, None, None, None, repeatable)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(group[0], len(group), statistics.fmean(values), deviation, min(values), max(values), repeatable)
