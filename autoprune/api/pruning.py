"""`autoprune.prune`: a model, pruned by an algorithm."""

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from autoprune.api.algorithms import AlgorithmLike, load_algorithm
from autoprune.api.targets import Model, opened_live, settings_for
from autoprune.config_sections import SandboxSettings
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.export import PrunedTarget, prune_for_good
from autoprune.evaluation.recipe import Recipe
from autoprune.leagues import League
from autoprune.measuring.algorithms import open_algorithms, own_by_default
from autoprune.models.block_storage import cast
from autoprune.models.hub import check_upload, upload
from autoprune.models.saving import count_zeros
from autoprune.pruning.updates.table import NONE

SANDBOX_SECONDS = SandboxSettings().seconds
SANDBOX_MEMORY = SandboxSettings().memory_mb


@dataclass(frozen=True)
class PruningReport:
    """What pruning did, and what was measured.

    Args:
        league: `mask`, or `update` if kept weights have new values.
        zeros: among the `weights` of the linear layers in the decoder blocks.
        perplexity: of the pruned model on the report split, in the dtype of its weights; None without `measure`.
        dense_perplexity: the same of the model before.
        seconds: wall clock of the whole call.
        facts: all of it for a model card, with texts, recipe and versions, as JSON data.
    """

    algorithm: str
    league: League
    zeros: int
    weights: int
    dense_perplexity: float | None
    perplexity: float | None
    seconds: float
    facts: dict[str, Any] = field(repr=False)

    @property
    def sparsity(self) -> float:
        """Share of these weights that are zero."""
        return self.zeros / self.weights


@dataclass(frozen=True)
class PrunedModel:
    """A pruned model: a live transformers `model` in evaluation mode (a live one that was given keeps its mode), its
    `tokenizer`, and the `report`."""

    model: Any
    tokenizer: Any
    report: PruningReport
    _target: PrunedTarget = field(repr=False)

    def save_pretrained(self, directory: str | Path) -> Path:
        """Write model, tokenizer, model card and `autoprune.json` to a directory, and return it.

        The directory is complete or absent. Raises UsageError if it exists and is not empty, AutoPruneError if it
        cannot be written or if the model has other zeros than the report says.
        """
        zeros = count_zeros(self._target.target)
        if zeros != self.report.zeros:
            raise AutoPruneError(
                f"the model has {zeros} zeros, not the {self.report.zeros} of its report: it was changed since; "
                "save it by model.save_pretrained, without a report"
            )
        return self._target.save(Path(directory)).path

    def push_to_hub(self, name: str, *, private: bool = False) -> str:
        """Upload what `save_pretrained` writes to a repository of the Hugging Face hub, and return its address.

        `name`: [OWNER/]NAME; made if it is missing, then `private` if asked. Raises UsageError for a name or a token
        that cannot be used, AutoPruneError if the upload fails, and what `save_pretrained` raises.
        """
        repository = check_upload(name)
        with tempfile.TemporaryDirectory() as folder:
            return upload(self.save_pretrained(Path(folder) / "model"), repository, private)


def prune(
    model: Model,
    algorithm: AlgorithmLike = "wanda",
    *,
    sparsity: float | None = None,
    allocation: str | None = None,
    refinement: str = NONE,
    update: str = NONE,
    pattern: str = NONE,
    unit: str = "block",
    measure: bool = False,
    tokenizer: Any = None,
    data: str | Path = "builtin",
    calibration: str | Path = "builtin",
    calibration_samples: int = 16,
    seqlen: int = 512,
    windows: int = 24,
    bos: str = "auto",
    statistics: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
    offload: str = "auto",
    sandbox: str = "auto",
    sandbox_seconds: float = SANDBOX_SECONDS,
    sandbox_memory: int = SANDBOX_MEMORY,
) -> PrunedModel:
    """Prune a model. The keywords are the options of `autoprune prune`, with the same defaults.

    A live model is pruned in place, on its device and in its dtype; if anything fails, its weights are as before. For
    that a copy of the pruned weights is kept meanwhile. A path or a name is loaded first, and keeps its dtype. A
    candidate (a file, a discovery, a candidate of a run) runs in the sandbox, never in this process.

    Args:
        model: a directory, a hub id, a GGUF file, a built-in name, or a live model with its `tokenizer`.
        algorithm: a name, a file, or what `load_algorithm` returned.
        sparsity: share of the weights of the linear layers in the decoder blocks; default 0.5, or that of the pattern.
        allocation: default the algorithm's own, or SDSA if it has none; uniform under a pattern N:M.
        measure: measure the perplexity on `windows` windows of `data` before and after.
        statistics: of layer inputs, `dense`, `sequential` (behind the pruned blocks) or `auto`.

    Raises:
        UsageError: for anything that cannot be used, before the model is changed.
        AutoPruneError: if the algorithm fails, or the perplexity of the pruned model is not finite.
    """
    started = time.perf_counter()
    config = settings_for(model, locals())
    named = load_algorithm(algorithm)
    recipe = Recipe.given(_share(sparsity), allocation, update, pattern, unit, refinement)
    try:
        with opened_live(model, tokenizer) as live, open_algorithms([named], config.sandbox) as (opened,):
            recipe = own_by_default(recipe, allocation, opened)
            pruned = prune_for_good(config, opened, recipe.with_statistics(statistics, opened), measure, live)
    except CandidateFailure as failure:
        raise AutoPruneError(f"the algorithm {named.name} failed: {failure}") from None
    target = pruned.target
    if not isinstance(model, nn.Module):
        cast(target.model, pruned.dtype)
    report = PruningReport(
        named.name,
        recipe.league(opened),
        count_zeros(target),
        target.weights,
        pruned.dense_perplexity,
        pruned.perplexity,
        time.perf_counter() - started,
        pruned.facts,
    )
    return PrunedModel(target.model, target.tokenizer, report, pruned)


def _share(sparsity: float | None) -> float | None:
    if sparsity is not None and not isinstance(sparsity, int | float):
        raise UsageError(f"sparsity {sparsity!r} is not a number between 0 and 1")
    return sparsity
