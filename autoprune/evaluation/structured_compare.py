"""Comparison of structured methods on one target, as rows."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.structured import StructureBench, count_parameters, shape_facts
from autoprune.evaluation.structured_recipe import RanksStructures, StructuredRecipe
from autoprune.evaluation.texts import Split, check_samples
from autoprune.models.loading import stored_dtype
from autoprune.pruning.shapes import Shape
from autoprune.runs.measurement import DENSE

logger = logging.getLogger(__name__)
SPLIT: Split = "report"
OWN = "own"
"""The compensation of a candidate that computes it itself."""


@dataclass(frozen=True)
class StructuredRow:
    """One experiment in the format of `autoprune compare --structure --json`.

    `params_target`, `params_removed`: shares of the decoder blocks' parameters, wanted and real. `parameters`: of the
    whole model; `bytes`: of these in the dtype of the model's files. `perplexity` is None if it is not finite or the
    experiment failed. `compensate`: own for a candidate that does it itself. `repeatable`: whether a fresh process gave
    the same answers, None for a published method. `seconds`: choosing, compensating and building, with statistics that
    were not cached.
    """

    algorithm: str
    structure: str
    compensate: str
    params_target: float
    params_removed: float
    parameters: int
    bytes: int
    blocks: int
    ffn_width: int
    heads: int
    key_value_heads: int
    perplexity: float | None
    seqlen: int
    windows: int
    bos: str | None
    seed: int
    seconds: float
    failed: bool = False
    repeatable: bool | None = None


def compare_structured(
    config: Config,
    recipes: Sequence[StructuredRecipe],
    seeds: int = 1,
    algorithms: Sequence[RanksStructures] = (),
) -> Iterator[StructuredRow]:
    """A row for the dense model, then one for every seed and recipe, as they are measured on the report split.

    `algorithms`: candidates, for the recipes of their names; the other recipes have published methods. Seeds are those
    of `compare`. Failed experiments are logged and have rows without perplexity. Raises UsageError for an invalid
    recipe before anything is loaded, and for one that does not fit the model before anything is measured.
    """
    by_name = {algorithm.name: algorithm for algorithm in algorithms}
    chosen = [(recipe, recipe.check(by_name.get(recipe.algorithm))) for recipe in recipes]
    size = stored_dtype(config.model).itemsize
    bench = open_bench(config, None)
    check_samples(bench.target, config.data, seeds)
    structures = StructureBench(bench)
    shapes = {recipe: structures.shape(recipe, algorithm) for recipe, algorithm in chosen}
    measured = dense(bench, SPLIT)
    nothing = StructuredRecipe("none", 0.0, DENSE)
    whole = structures.anatomy.sizes.dense
    yield _row(structures, nothing, whole, count_parameters(bench.target), 0.0, size, measured.perplexity, 0, 0.0)
    for seed in range(seeds):
        of_seed = StructureBench(bench.calibrated(seed)) if seed else structures
        for recipe, algorithm in chosen:
            yield _measured(of_seed, recipe, algorithm, shapes[recipe], size, seed)


def _measured(
    structures: StructureBench,
    recipe: StructuredRecipe,
    algorithm: RanksStructures,
    shape: Shape,
    size: int,
    seed: int,
) -> StructuredRow:
    shown = replace(recipe, compensate=OWN) if algorithm.updates else recipe
    started = time.perf_counter()
    try:
        chosen = structures.chosen(recipe, algorithm)
        target = structures.reduced(chosen.reduction)
        seconds = time.perf_counter() - started
        value = structures.perplexity(target, SPLIT)
    except (AutoPruneError, CandidateFailure) as error:
        logger.warning(f"{recipe.algorithm}, {recipe.structure}, {recipe.params:g}, {recipe.compensate}: {error}")
        seconds = time.perf_counter() - started
        return _row(structures, shown, shape, 0, 0.0, size, math.nan, seed, seconds, failed=True)
    dense_blocks = structures.anatomy.sizes.parameters(structures.anatomy.sizes.dense)
    gone = 1.0 - structures.block_parameters(target) / dense_blocks
    row = _row(structures, shown, shape, count_parameters(target), gone, size, value, seed, seconds)
    return replace(row, repeatable=chosen.repeats)


def _row(
    structures: StructureBench,
    recipe: StructuredRecipe,
    shape: Shape,
    count: int,
    gone: float,
    size: int,
    value: float,
    seed: int,
    seconds: float,
    failed: bool = False,
) -> StructuredRow:
    windows, facts = structures.bench.windows(SPLIT), shape_facts(structures.anatomy, shape)
    return StructuredRow(
        algorithm=recipe.algorithm,
        structure=recipe.structure,
        compensate=recipe.compensate,
        params_target=recipe.params,
        params_removed=gone,
        parameters=count,
        bytes=count * size,
        blocks=facts["blocks"],
        ffn_width=facts["ffn_width"],
        heads=facts["heads"],
        key_value_heads=facts["key_value_heads"],
        perplexity=value if math.isfinite(value) else None,
        seqlen=windows.seqlen,
        windows=len(windows.tokens),
        bos=shown(windows.bos),
        seed=seed,
        seconds=seconds,
        failed=failed,
    )
