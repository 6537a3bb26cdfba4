"""Comparison of structured methods on one target, as rows."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.structured import StructureBench, StructuredRecipe, count_parameters, shape_facts
from autoprune.evaluation.texts import Split, check_samples
from autoprune.models.loading import stored_dtype
from autoprune.pruning.shapes import Shape
from autoprune.runs.measurement import DENSE

logger = logging.getLogger(__name__)
SPLIT: Split = "report"


@dataclass(frozen=True)
class StructuredRow:
    """One experiment in the format of `autoprune compare --structure --json`.

    `params_target`, `params_removed`: shares of the decoder blocks' parameters, wanted and real. `parameters`: of the
    whole model; `bytes`: of these in the dtype of the model's files. `perplexity` is None if it is not finite or the
    experiment failed. `seconds`: choosing, compensating and building, with statistics that were not cached.
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


def compare_structured(config: Config, recipes: Sequence[StructuredRecipe], seeds: int = 1) -> Iterator[StructuredRow]:
    """A row for the dense model, then one for every seed and recipe, as they are measured on the report split.

    Seeds are those of `compare`. Failed experiments are logged and have rows without perplexity. Raises UsageError for
    an invalid recipe before anything is loaded, and for one that does not fit the model before anything is measured.
    """
    for recipe in recipes:
        recipe.check()
    size = stored_dtype(config.model).itemsize
    bench = open_bench(config, None)
    check_samples(bench.target, config.data, seeds)
    structures = StructureBench(bench)
    shapes = {recipe: structures.shape(recipe) for recipe in recipes}
    measured = dense(bench, SPLIT)
    nothing = StructuredRecipe("none", 0.0, DENSE)
    whole = structures.anatomy.sizes.dense
    yield _row(structures, nothing, whole, count_parameters(bench.target), 0.0, size, measured.perplexity, 0, 0.0)
    for seed in range(seeds):
        of_seed = StructureBench(bench.calibrated(seed)) if seed else structures
        for recipe in recipes:
            yield _measured(of_seed, recipe, shapes[recipe], size, seed)


def _measured(
    structures: StructureBench, recipe: StructuredRecipe, shape: Shape, size: int, seed: int
) -> StructuredRow:
    started = time.perf_counter()
    try:
        target = structures.reduced(structures.reduction(recipe))
        seconds = time.perf_counter() - started
        value = structures.perplexity(target, SPLIT)
    except (AutoPruneError, CandidateFailure) as error:
        logger.warning(f"{recipe.algorithm}, {recipe.structure}, {recipe.params:g}, {recipe.compensate}: {error}")
        seconds = time.perf_counter() - started
        return _row(structures, recipe, shape, 0, 0.0, size, math.nan, seed, seconds, failed=True)
    dense_blocks = structures.anatomy.sizes.parameters(structures.anatomy.sizes.dense)
    gone = 1.0 - structures.block_parameters(target) / dense_blocks
    return _row(structures, recipe, shape, count_parameters(target), gone, size, value, seed, seconds)


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
    windows = structures.bench.windows(SPLIT)
    return StructuredRow(
        algorithm=recipe.algorithm,
        structure=recipe.structure,
        compensate=recipe.compensate,
        params_target=recipe.params,
        params_removed=gone,
        parameters=count,
        bytes=count * size,
        **shape_facts(structures.anatomy, shape),
        perplexity=value if math.isfinite(value) else None,
        seqlen=windows.seqlen,
        windows=len(windows.tokens),
        bos=shown(windows.bos),
        seed=seed,
        seconds=seconds,
        failed=failed,
    )
