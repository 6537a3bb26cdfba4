"""Pruning a model and saving it to disk, with its measured perplexity."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Algorithm
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.completions import Completion, complete, side_by_side
from autoprune.evaluation.evaluator import as_it_is, dense, prune
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.models.loading import DTYPES, model_bytes, source_dtype, stored_dtype
from autoprune.models.packed import Sizes, pack
from autoprune.models.saving import Exported, save_pruned, settle
from autoprune.models.target import Target
from autoprune.progress import Advance, progress

logger = logging.getLogger(__name__)

SPLIT: Split = "report"


@dataclass(frozen=True)
class PrunedTarget:
    """A target that was pruned for good. Its weights are rounded to `dtype`, that of the files.

    Perplexities are on the report split, None if they were not measured. `facts`: for the model card.
    """

    target: Target
    dtype: torch.dtype
    dense_perplexity: float | None
    perplexity: float | None
    seconds: dict[str, float]
    facts: dict[str, Any]
    completions: list[Completion] = field(default_factory=list)

    def save(self, into: Path) -> Exported:
        """Save the model as a Hugging Face directory. See `save_pruned`."""
        return save_pruned(self.target, into, self.facts, self.dtype)


@dataclass(frozen=True)
class Produced:
    """A saved pruned model, its measurements, and the sizes of directory and packed file. `dense_bytes`: of the dense
    model's files, the GGUF file where it came from one.

    Perplexities are on the report split, that of the pruned model with weights in the dtype of the files.
    """

    exported: Exported
    dense_perplexity: float
    perplexity: float
    seconds: dict[str, float]
    facts: dict[str, Any]
    dense_bytes: int
    packed: Path | None = None
    sizes: Sizes | None = None
    completions: list[Completion] = field(default_factory=list)


def produce(
    config: Config,
    algorithm: Algorithm,
    recipe: Recipe,
    into: Path,
    packed: Path | None = None,
    completions: int = 0,
) -> Produced:
    """Prune a model and save it to `into`, a Hugging Face directory, and optionally to a `packed` file.

    The files keep the dtype that the model came in (`source_dtype`) unless the configuration sets another; a model that
    is stored in float32 is scored in it, whatever the files are. `completions`: how many built-in prompts the dense and
    the pruned model complete. Raises UsageError before anything is loaded if the recipe does not fit or a path exists,
    CandidateFailure if the algorithm fails, and AutoPruneError if the perplexity of the pruned model is not finite or
    it cannot be written.
    """
    recipe.check(algorithm)
    check_free(into, packed)
    pruned = prune_for_good(config, algorithm, recipe, completions=completions)
    exported = pruned.save(into)
    sizes = pack(into, packed) if packed is not None else None
    assert pruned.dense_perplexity is not None
    assert pruned.perplexity is not None
    return Produced(
        exported,
        pruned.dense_perplexity,
        pruned.perplexity,
        pruned.seconds,
        pruned.facts,
        model_bytes(config.model),
        packed,
        sizes,
        pruned.completions,
    )


def prune_for_good(
    config: Config,
    algorithm: Algorithm,
    recipe: Recipe,
    measured: bool = True,
    live: Target | None = None,
    completions: int = 0,
) -> PrunedTarget:
    """Load a model and prune it, or prune a `live` one, which keeps its dtype, and stays dense if this fails.

    `measured`: measure the perplexity before and after. Raises like `produce`.
    """
    recipe.check(algorithm)
    if live is None:
        config, dtype = file_dtype(config)
    else:
        dtype = live.dtype
    bench = open_bench(config, None, live)
    target = bench.target
    if target.mapped:
        raise UsageError(
            f"writing a pruned {config.model} needs it in memory, and it does not fit; it can be searched and measured "
            "here (offload=disk), and written on a machine with more memory"
        )
    before = None
    if measured:
        with _counting(bench, "perplexity of the dense model") as advance:
            before = dense(bench, SPLIT, lambda: advance(1)).perplexity
    dense_texts = complete(target, completions)
    steps, unit = len(target.layers), "layers"
    if recipe.walks():
        steps, unit = len(bench.windows("calibration").tokens) * (1 + target.layers[-1].block), "windows x blocks"
    editing = target.edited_for_good() if live else nullcontext(target.for_good)
    with editing as edits, progress("pruning", steps, unit, logging.DEBUG) as advance:
        spent, repeats = prune(bench, algorithm, recipe, edits, lambda: advance(1))
        if repeats is False:
            logger.warning(f"{algorithm.name}: {NOT_REPEATABLE}; pruned again, the model will be another one")
        settle(target, dtype)
        perplexity = _measured(bench) if measured else None
    facts = {**_facts(bench, algorithm, recipe, dtype, before, perplexity), "repeats": repeats}
    seconds = {"statistics": 0.0, **spent.reported()}
    seconds["statistics"] += bench.take_statistics_seconds()
    texts = side_by_side(dense_texts, complete(target, completions))
    return PrunedTarget(target, dtype, before, perplexity, seconds, facts, texts)


def file_dtype(config: Config) -> tuple[Config, torch.dtype]:
    """The dtype of the written files (`source_dtype` unless the configuration sets another), and the configuration that
    computes in float32 where the model is stored in it."""
    auto = config.dtype == "auto"
    dtype = source_dtype(config.model) if auto else DTYPES[config.dtype]
    if dtype == torch.float32 or (auto and stored_dtype(config.model) == torch.float32):
        # The automatic choice could be bfloat16, which would lose the last digits of the model.
        config = config.model_copy(update={"dtype": "float32"})
    return config, dtype


def check_free(into: Path, packed: Path | None = None) -> None:
    """Raises UsageError if a path to write to exists already, other than an empty directory."""
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} exists already; name another directory, or empty it first")
    if packed is not None and packed.exists():
        raise UsageError(f"{packed} exists already; name another file, or remove it first")


def _counting(bench: Bench, name: str) -> AbstractContextManager[Advance]:
    """A progress bar over the windows of the report split."""
    return progress(name, len(bench.windows(SPLIT).tokens), "windows", logging.DEBUG)


def _measured(bench: Bench) -> float:
    try:
        with _counting(bench, "perplexity") as advance:
            return as_it_is(bench, SPLIT, lambda: advance(1)).perplexity
    except CandidateFailure:
        raise AutoPruneError(
            "the perplexity of the pruned model is not finite, so it was not saved; try dtype=float32 or less sparsity"
        ) from None


def _facts(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    dtype: torch.dtype,
    before: float | None,
    perplexity: float | None,
) -> dict[str, Any]:
    made = {"algorithm": algorithm.name, "recipe": asdict(recipe), "league": recipe.league(algorithm)}
    return measured_facts(bench, made, dtype, before, perplexity)


def measured_facts(
    bench: Bench, made: Mapping[str, Any], dtype: torch.dtype, before: float | None, perplexity: float | None
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
