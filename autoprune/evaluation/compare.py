"""Many algorithms, allocations, updates and seeds on one target: rows for a table, for JSON, and their spread."""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Algorithm
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.experiment import Applied, Recipe, apply
from autoprune.evaluation.perplexity import perplexity
from autoprune.evaluation.texts import Split
from autoprune.evaluation.vocabulary import check_samples
from autoprune.pruning.prune import Seconds


@dataclass(frozen=True)
class Row:
    """One measured experiment, as `autoprune compare --json` hands it out. Seconds of wall clock by phase; `perplexity`
    is None when it is not finite or the experiment failed. `bos`: the token before each window."""

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
    """Whether a candidate's scores came back when a fresh process was asked; None where nobody asks."""
    bos: str | None = None
    refinement: str = "none"

    @property
    def failed(self) -> bool:
        """Whether nothing was pruned, so that there was nothing to measure."""
        return self.perplexity is None and self.zeros == 0


def run(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    split: Split,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Row:
    """Prune, measure on a split, and put the dense weights back."""
    with bench.target.edited() as put:
        applied = apply(bench, algorithm, recipe, put, advance)
        started = time.perf_counter()
        value = perplexity(bench.losses(split))
        seconds_eval = time.perf_counter() - started
    return _row(bench, algorithm, recipe, split, seed, applied, value, seconds_eval)


def _row(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    split: Split,
    seed: int,
    applied: Applied,
    value: float,
    seconds_eval: float,
) -> Row:
    windows = bench.windows(split)
    seconds = applied.seconds.reported()
    return Row(
        algorithm=algorithm.name,
        allocation=recipe.allocation,
        update=recipe.update,
        pattern=recipe.pattern,
        sparsity_target=recipe.sparsity,
        sparsity_actual=applied.zeros / bench.target.weights,
        zeros=applied.zeros,
        weights=bench.target.weights,
        perplexity=value if math.isfinite(value) else None,
        seqlen=windows.seqlen,
        windows=len(windows.tokens),
        seconds_statistics=seconds["statistics"],
        seconds_score=seconds["score"],
        seconds_mask=seconds["mask"],
        seconds_eval=seconds_eval,
        statistics=recipe.statistics,
        seed=seed,
        repeats=applied.repeats,
        bos=shown(windows.bos),
        refinement=recipe.refinement,
    )


def compare(
    config: Config,
    algorithms: Sequence[Algorithm],
    recipes: Sequence[Recipe],
    seeds: int,
    notify: Callable[[str], None],
    split: Split = "report",
) -> Iterator[Row]:
    """A row for the dense model, then one for every seed, recipe and algorithm, as they are measured.

    Seed 0 calibrates on the first sequences of the calibration text, the others on random ones. An experiment that
    fails is told by `notify`; its row is without perplexity. Raises UsageError before anything is loaded for a recipe
    that means nothing.
    """
    for algorithm, recipe in itertools.product(algorithms, recipes):
        recipe.check(algorithm)
    first = open_bench(config, None, notify)
    check_samples(first.target, config.data, seeds)
    yield dense(first, split)
    for seed in range(seeds):
        bench = first.calibrated(seed) if seed else first
        for recipe, algorithm in itertools.product(recipes, algorithms):
            try:
                row = run(bench, algorithm, recipe, split, seed)
                if row.repeats is False:
                    notify(f"{_named(algorithm, recipe)}: {NOT_REPEATABLE}; its perplexity may not come back")
                yield row
            except (AutoPruneError, CandidateFailure) as error:
                notify(f"{_named(algorithm, recipe)}: {error}")
                yield _row(bench, algorithm, recipe, split, seed, Applied(0, Seconds()), math.nan, 0.0)


def _named(algorithm: Algorithm, recipe: Recipe) -> str:
    return f"{algorithm.name}, {recipe.allocation}, {recipe.refinement}, {recipe.update}, {recipe.pattern}"


def dense(bench: Bench, split: Split) -> Row:
    """The unpruned target as a row, its algorithm called `dense`."""
    measured = bench.dense(split)
    return Row(
        algorithm="dense",
        allocation="none",
        update="none",
        pattern="none",
        sparsity_target=0.0,
        sparsity_actual=0.0,
        zeros=0,
        weights=measured.weights,
        perplexity=measured.perplexity,
        seqlen=measured.seqlen,
        windows=measured.windows,
        seconds_statistics=0.0,
        seconds_score=0.0,
        seconds_mask=0.0,
        seconds_eval=measured.seconds["eval"],
        statistics="none",
        seed=0,
        bos=measured.bos,
    )


@dataclass(frozen=True)
class Spread:
    """The rows that differ in the seed only: how many, and mean, sample standard deviation (None of one), least and
    largest of their perplexities. None where one of them is not finite. `repeatable`: not where the scores of one of
    them did not come back."""

    row: Row
    seeds: int
    mean: float | None
    deviation: float | None
    least: float | None
    largest: float | None
    repeatable: bool


def spread(rows: Sequence[Row]) -> list[Spread]:
    """Rows joined over seeds, in the order in which they first appear; `row` is the first of each."""
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
