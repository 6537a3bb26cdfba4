"""Removing structures from a model and writing the smaller model, with its measured perplexity."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.evaluation.algorithms import NOT_REPEATABLE
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.export import SPLIT, check_free, file_dtype, measured_facts
from autoprune.evaluation.structured import StructureBench, count_parameters, shape_facts
from autoprune.evaluation.structured_recipe import RanksStructures, StructuredRecipe
from autoprune.models.base_model import origin
from autoprune.models.saving import RECIPE_FILE, card_metadata, fact_table, save_pruned, settle
from autoprune.models.target import Target
from autoprune.progress import progress
from autoprune.pruning.shapes import Shape

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reduced:
    """A written model: its directory and size in bytes, the facts of its card, seconds."""

    path: Path
    bytes: int
    facts: dict[str, Any]
    seconds: float


def produce_reduced(
    config: Config, recipe: StructuredRecipe, into: Path, algorithm: RanksStructures | None = None
) -> Reduced:
    """Remove structures from a model and save it to `into`, a Hugging Face directory with a model card.

    `algorithm`: a candidate; by default the published method of the recipe. Perplexities are on the report split, with
    weights in the dtype of the files. Raises UsageError for a recipe or a model that does not fit and a path that
    exists, CandidateFailure if a candidate fails, AutoPruneError if the perplexity is not finite.
    """
    started = time.perf_counter()
    recipe.check(algorithm)
    check_free(into)
    config, dtype = file_dtype(config)
    bench = open_bench(config, None)
    structures = StructureBench(bench)
    structures.shape(recipe, algorithm)
    before = dense(bench, SPLIT).perplexity
    with progress("removing", structures.anatomy.sizes.dense.blocks, "blocks", logging.DEBUG) as advance:
        chosen = structures.chosen(recipe, algorithm, lambda: advance(1))
    if chosen.repeats is False:
        logger.warning(f"{recipe.algorithm}: {NOT_REPEATABLE}; pruned again, the model will be another one")
    target = structures.reduced(chosen.reduction)
    settle(target, dtype)
    perplexity = structures.perplexity(target, SPLIT)
    if not math.isfinite(perplexity):
        raise AutoPruneError(
            "the perplexity of the reduced model is not finite, so it was not saved; try dtype=float32 or less --params"
        )
    made = {
        "algorithm": recipe.algorithm,
        "recipe": asdict(recipe),
        **_sizes(structures, structures.shape(recipe, algorithm), target),
        "kept_blocks": list(chosen.reduction.blocks),
        "repeats": chosen.repeats,
    }
    facts = measured_facts(bench, made, dtype, before, perplexity)
    exported = save_pruned(target, into, facts, dtype, reduced_card)
    return Reduced(exported.path, exported.bytes, facts, time.perf_counter() - started)


def _sizes(structures: StructureBench, shape: Shape, target: Target) -> dict[str, Any]:
    """The real share of the blocks' parameters that is gone, parameters before and after, and both shapes."""
    anatomy = structures.anatomy
    return {
        "params_removed": 1.0 - structures.block_parameters(target) / anatomy.sizes.parameters(anatomy.sizes.dense),
        "parameters_dense": count_parameters(structures.bench.target),
        "parameters": count_parameters(target),
        "shape_dense": dict(shape_facts(anatomy, anatomy.sizes.dense)),
        "shape": dict(shape_facts(anatomy, shape)),
    }


def reduced_card(name: str, facts: Mapping[str, Any]) -> str:
    """The model card of a model with structures removed."""
    title = f"{Path(name).name}, {facts['params_removed']:.1%} of the decoder blocks' parameters removed"
    return f"""---
{card_metadata(name, title, facts, "structured-pruning")}
---

# {title}

Pruned with AutoPrune from `{origin(name)}`. The licence and the limits of that model hold for this one too.

{fact_table(facts)}

This is a smaller model of the same architecture: every decoder block has the same shape, so `from_pretrained` loads it
without further code, and every tensor is dense. The same facts, for programs, are in `{RECIPE_FILE}`.
"""
