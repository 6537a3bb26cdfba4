"""`autoprune prune`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import (
    DTYPES,
    SANDBOX_SECONDS,
    Bos,
    Calibration,
    CalibrationSamples,
    Data,
    Device,
    Model,
    Offload,
    Sandbox,
    SandboxSeconds,
    Seqlen,
    Unit,
    Windows,
    experiment_config,
)
from autoprune.cli.parse import KINDS, REFINEMENTS, REFINEMENTS_HELP, UPDATES, UPDATES_HELP, choice, listed, share
from autoprune.cli.structured import (
    Compensate,
    Multiple,
    Params,
    Structure,
    check_options,
    given,
    prune_structures,
)
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.leagues import WITH_UPDATE
from autoprune.log import log_to
from autoprune.report.text import plain, windows_of_text

if TYPE_CHECKING:
    from autoprune.evaluation.export import Produced
    from autoprune.evaluation.recipe import Recipe

AUTO = "auto"
UNSTRUCTURED = ("sparsity", "allocation", "refinement", "update", "pattern", "unit", "packed", "statistics")
"""Options that have no meaning with --structure."""


@log_to(say)
def prune(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The model directory to write.")],
    model: Model = "smollm2-135m",
    algorithm: Annotated[
        str,
        typer.Option(
            help="A score, FILE.py, or RUN:CANDIDATE; a method of docs/structured.md with --structure.",
            autocompletion=complete.algorithms,
        ),
    ] = "wanda",
    structure: Structure = None,
    params: Params = None,
    compensate: Compensate = None,
    multiple: Multiple = 1,
    sparsity: Annotated[str | None, typer.Option(help="Share of weights to prune; default 0.5.")] = None,
    allocation: Annotated[
        str | None, complete.option("uniform, sdsa, owl, ..., own; default sdsa.", *complete.ALLOCATIONS)
    ] = None,
    refinement: Annotated[str, complete.option(f"What becomes of the mask: {REFINEMENTS_HELP}", *REFINEMENTS)] = "none",
    update: Annotated[str, complete.option(UPDATES_HELP, *UPDATES)] = "none",
    pattern: Annotated[
        str, complete.option("none, or N:M such as 2:4, which fixes the sparsity.", *complete.PATTERNS)
    ] = "none",
    unit: Unit = "block",
    packed: Annotated[Path | None, typer.Option(help="Write this smaller file too; see `autoprune unpack`.")] = None,
    data: Data = "builtin",
    calibration: Calibration = "builtin",
    calibration_samples: CalibrationSamples = 16,
    seqlen: Seqlen = 512,
    windows: Windows = 24,
    bos: Bos = "auto",
    statistics: Annotated[
        str,
        typer.Option(
            help="Of the layer inputs: dense, or sequential (behind the pruned blocks); auto: sequential where kept "
            "weights are updated.",
            autocompletion=complete.of(AUTO, *KINDS),
        ),
    ] = AUTO,
    device: Device = "auto",
    offload: Offload = "auto",
    dtype: Annotated[
        str, complete.option(f"Of the files: {listed(DTYPES)}; auto: what the model has.", *DTYPES)
    ] = "auto",
    sandbox: Sandbox = "auto",
    sandbox_seconds: SandboxSeconds = SANDBOX_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes and measurements as JSON.")] = False,
) -> None:
    """Prune a model, measure it, and write it as a Hugging Face directory with a model card."""
    from autoprune.evaluation.export import produce
    from autoprune.measuring.algorithms import open_algorithms

    config = experiment_config(context.params)
    check_options(context, structure, UNSTRUCTURED)
    if structure is not None:
        chosen_method = algorithm if given(context, "algorithm") else None
        prune_structures(config, structure, params, chosen_method, compensate, multiple, out, as_json)
        return
    kind = choice(statistics, (AUTO, *KINDS))
    recipe = _recipe(sparsity, allocation, refinement, update, pattern, unit)
    try:
        with open_algorithms([algorithm], config.sandbox) as (chosen,):
            updated = recipe.league(chosen) == WITH_UPDATE
            recipe = replace(recipe, statistics=kind if kind != AUTO else "sequential" if updated else "dense")
            made = produce(config, chosen, recipe, out, packed)
    except CandidateFailure as failure:
        raise AutoPruneError(f"the algorithm {algorithm} failed: {failure}") from None
    if as_json:
        print_json(_facts(made))
    else:
        _show(made, seqlen, windows, data)


def _recipe(
    sparsity: str | None,
    allocation: str | None,
    refinement: str,
    update: str,
    pattern: str,
    unit: str,
) -> "Recipe":
    """A pattern fixes the sparsity and is uniform. Raises UsageError for a contradicting option."""
    from autoprune.evaluation.recipe import Recipe
    from autoprune.pruning.masks import parse_pattern

    kept = parse_pattern(pattern)
    default = 0.5 if kept is None else 1.0 - kept[0] / kept[1]
    target = share(sparsity) if sparsity is not None else default
    if kept is not None and abs(target - default) > 1e-9:
        raise UsageError(f"the pattern {pattern} means a sparsity of {default:g}, not {target:g}")
    chosen = allocation or ("sdsa" if kept is None else "uniform")
    refined = choice(refinement, REFINEMENTS)
    return Recipe(target, chosen, choice(update, UPDATES), pattern, unit=unit, refinement=refined)


def _facts(made: "Produced") -> dict[str, Any]:
    return {
        **made.facts,
        "out": str(made.exported.path),
        "bytes": made.exported.bytes,
        "zeros": made.exported.zeros,
        "weights": made.exported.weights,
        "sparsity": made.exported.sparsity,
        "packed": str(made.packed) if made.packed else None,
        "packed_bytes": made.sizes.packed if made.sizes else None,
        "seconds": made.seconds,
    }


def _show(made: "Produced", seqlen: int, windows: int, data: str) -> None:
    done, text = made.exported, f"{data}, report split, {windows_of_text(windows, seqlen, made.facts['bos'])}"
    lines = [
        f"{done.path}  {done.bytes / 1e6:,.1f} MB",
        f"zeros       {done.zeros:,} of {done.weights:,} ({done.sparsity:.2%})",
        f"perplexity  {made.perplexity:.3f}, dense {made.dense_perplexity:.3f}  ({text})",
    ]
    if made.packed and made.sizes:
        share_of = made.sizes.packed / made.sizes.directory
        lines.append(f"{made.packed}  {made.sizes.packed / 1e6:,.1f} MB ({share_of:.0%} of the directory)")
    for line in lines:
        console().print(plain(line), soft_wrap=True)
