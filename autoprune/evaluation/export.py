"""Pruning a model and saving it to disk, with its measured perplexity."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from autoprune.config import Config
from autoprune.downloads import progress
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Algorithm
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.evaluator import as_it_is, dense, prune
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.models.loading import DTYPES, stored_dtype
from autoprune.models.packed import Sizes, pack
from autoprune.models.saving import Exported, save_pruned, settle

logger = logging.getLogger(__name__)

SPLIT: Split = "report"


@dataclass(frozen=True)
class Produced:
    """A saved pruned model, its measurements, and the sizes of directory and packed file.

    Perplexities are on the report split, that of the pruned model with weights in the dtype of the files.
    """

    exported: Exported
    dense_perplexity: float
    perplexity: float
    seconds: dict[str, float]
    facts: dict[str, Any]
    packed: Path | None = None
    sizes: Sizes | None = None


def produce(config: Config, algorithm: Algorithm, recipe: Recipe, into: Path, packed: Path | None = None) -> Produced:
    """Prune a model and save it to `into`, a Hugging Face directory, and optionally to a `packed` file.

    The files keep the dtype of the model unless the configuration sets another. Raises UsageError before anything is
    loaded if the recipe does not fit or a path exists, CandidateFailure if the algorithm fails, and AutoPruneError if
    the perplexity of the pruned model is not finite or it cannot be written.
    """
    recipe.check(algorithm)
    check_free(into, packed)
    config, dtype = file_dtype(config)
    bench = open_bench(config, None)
    target = bench.target
    if target.mapped:
        raise UsageError(
            f"writing a pruned {config.model} needs it in memory, and it does not fit; it can be searched and measured "
            "here (offload=disk), and written on a machine with more memory"
        )
    before = dense(bench, SPLIT).perplexity

    steps = len(bench.windows("calibration").tokens) * (1 + target.layers[-1].block)
    with progress("pruning", steps, "windows x blocks", logging.DEBUG) as advance:
        spent, repeats = prune(bench, algorithm, recipe, target.for_good, lambda: advance(1))
    if repeats is False:
        logger.warning(f"{algorithm.name}: {NOT_REPEATABLE}; pruned again, the model will be another one")
    settle(target, dtype)
    perplexity = _measured(bench)
    facts = {**_facts(bench, algorithm, recipe, dtype, before, perplexity), "repeats": repeats}
    exported = save_pruned(target, into, facts, dtype)
    sizes = pack(into, packed) if packed is not None else None
    seconds = {"statistics": 0.0, **spent.reported()}
    seconds["statistics"] += bench.take_statistics_seconds()
    return Produced(exported, before, perplexity, seconds, facts, packed, sizes)


def file_dtype(config: Config) -> tuple[Config, torch.dtype]:
    """The dtype of the written files, and the configuration that computes in it where that is needed."""
    dtype = stored_dtype(config.model) if config.dtype == "auto" else DTYPES[config.dtype]
    if dtype == torch.float32:
        # The automatic choice could be bfloat16, which would lose the last digits of the files.
        config = config.model_copy(update={"dtype": "float32"})
    return config, dtype


def check_free(into: Path, packed: Path | None = None) -> None:
    """Raises UsageError if a path to write to exists already, other than an empty directory."""
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} exists already; name another directory, or empty it first")
    if packed is not None and packed.exists():
        raise UsageError(f"{packed} exists already; name another file, or remove it first")


def _measured(bench: Bench) -> float:
    try:
        return as_it_is(bench, SPLIT).perplexity
    except CandidateFailure:
        raise AutoPruneError(
            "the perplexity of the pruned model is not finite, so it was not saved; try dtype=float32 or less sparsity"
        ) from None


def _facts(
    bench: Bench, algorithm: Algorithm, recipe: Recipe, dtype: torch.dtype, before: float, perplexity: float
) -> dict[str, Any]:
    made = {"algorithm": algorithm.name, "recipe": asdict(recipe), "league": recipe.league(algorithm)}
    return measured_facts(bench, made, dtype, before, perplexity)


def measured_facts(
    bench: Bench, made: Mapping[str, Any], dtype: torch.dtype, before: float, perplexity: float
) -> dict[str, Any]:
    """The facts on a written model, as JSON data: the dense model, how it was `made`, and its measurements."""
    texts = {
        split: {
            "source": text.source,
            "windows": len(text.tokens),
            "seqlen": text.seqlen,
            "fingerprint": text.fingerprint,
        }
        for split in ("calibration", SPLIT)
        for text in [bench.windows(split)]
    }
    return {
        "base_model": bench.target.name,
        "base_fingerprint": bench.target.fingerprint,
        **made,
        "dtype": str(dtype).removeprefix("torch."),
        "perplexity_dense": before,
        "perplexity": perplexity,
        "perplexity_text": texts[SPLIT],
        "calibration": texts["calibration"],
        "bos": shown(bench.windows(SPLIT).bos),
        "made_with": {name: version(name) for name in ("autoprune", "torch", "transformers")},
    }
