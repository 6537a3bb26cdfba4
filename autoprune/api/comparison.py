"""`autoprune.compare`: algorithms measured side by side, as a table."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoprune.api.algorithms import AlgorithmLike, load_algorithm
from autoprune.api.pruning import SANDBOX_MEMORY, SANDBOX_SECONDS
from autoprune.api.targets import Model, opened_live, settings_for
from autoprune.errors import UsageError
from autoprune.evaluation.compare import Row
from autoprune.evaluation.compare import compare as rows_of
from autoprune.evaluation.recipe import every_recipe
from autoprune.measuring.algorithms import open_algorithms
from autoprune.progress import progress
from autoprune.pruning.updates.table import NONE

if TYPE_CHECKING:
    import pandas

Words = str | Sequence[str]


def compare(
    model: Model,
    algorithms: AlgorithmLike | Sequence[AlgorithmLike] = ("magnitude", "wanda"),
    *,
    sparsity: float | Sequence[float] = 0.6,
    allocations: Words = ("uniform", "sdsa"),
    refinements: Words = (NONE,),
    updates: Words = (NONE,),
    patterns: Words = (NONE,),
    unit: str = "block",
    seeds: int = 1,
    tokenizer: Any = None,
    data: str | Path = "builtin",
    calibration: str | Path = "builtin",
    calibration_samples: int = 16,
    seqlen: int = 512,
    windows: int = 24,
    bos: str = "auto",
    statistics: str = "dense",
    device: str = "auto",
    dtype: str = "auto",
    offload: str = "auto",
    sandbox: str = "auto",
    sandbox_seconds: float = SANDBOX_SECONDS,
    sandbox_memory: int = SANDBOX_MEMORY,
) -> "pandas.DataFrame":
    """Measure every algorithm with every allocation, refinement, update, pattern and sparsity on the report split.

    Returns a DataFrame with a row for the dense model, then one for each experiment and calibration seed; its columns
    are those of `evaluation.compare.Row`. A failed experiment is logged and has no perplexity. The model is dense
    again afterwards. Keywords are the options of `autoprune compare`, lists where these are separated by commas.

    Raises UsageError for anything that cannot be used.
    """
    import pandas

    config = settings_for(model, locals())
    if seeds < 1:
        raise UsageError(f"seeds={seeds}: at least one calibration sample is needed")
    given = [algorithms] if isinstance(algorithms, AlgorithmLike) else list(algorithms)
    named = [load_algorithm(algorithm) for algorithm in given]
    shares = [sparsity] if isinstance(sparsity, int | float) else list(sparsity)
    recipes = every_recipe(
        shares, _listed(allocations), _listed(refinements), _listed(updates), _listed(patterns), statistics, unit
    )
    total = 1 + seeds * len(recipes) * len(named)
    with (
        opened_live(model, tokenizer) as live,
        open_algorithms(named, config.sandbox) as opened,
        progress("comparing", total, "rows") as advance,
    ):
        rows = []
        for row in rows_of(config, opened, recipes, seeds, live=live):
            rows.append(asdict(row))
            advance(1)
    return pandas.DataFrame(rows, columns=[column.name for column in fields(Row)])


def _listed(words: Words) -> list[str]:
    return [words] if isinstance(words, str) else list(words)
