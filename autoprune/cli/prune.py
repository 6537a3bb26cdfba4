"""`autoprune prune`."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import (
    DTYPES,
    SANDBOX_MEMORY,
    SANDBOX_SECONDS,
    Bos,
    Calibration,
    CalibrationSamples,
    Data,
    Device,
    Model,
    Offload,
    Sandbox,
    SandboxMemory,
    SandboxSeconds,
    Seqlen,
    Unit,
    Windows,
    experiment_config,
)
from autoprune.cli.parse import KINDS, REFINEMENTS, REFINEMENTS_HELP, UPDATES, UPDATES_HELP, listed, share
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
from autoprune.log import log_to
from autoprune.report.completions import completion_lines
from autoprune.report.text import plain, windows_of_text

if TYPE_CHECKING:
    from autoprune.evaluation.export import Produced

AUTO = "auto"
UNSTRUCTURED = (
    *("sparsity", "allocation", "refinement", "update", "pattern", "unit", "packed", "statistics"),
    "completions",
)
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
        str | None,
        complete.option(
            "uniform, sdsa, owl, ..., own; default: the algorithm's own, else sdsa.", *complete.ALLOCATIONS
        ),
    ] = None,
    refinement: Annotated[str, complete.option(f"Mask refinement: {REFINEMENTS_HELP}", *REFINEMENTS)] = "none",
    update: Annotated[str, complete.option(UPDATES_HELP, *UPDATES)] = "none",
    pattern: Annotated[
        str, complete.option("none, or N:M such as 2:4, which fixes the sparsity.", *complete.PATTERNS)
    ] = "none",
    unit: Unit = "block",
    packed: Annotated[Path | None, typer.Option(help="Write this smaller file too; see `autoprune unpack`.")] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="NAME", help="Upload the directory to this repository of the hub, too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="With --push-to-hub: make a private repository.")] = False,
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
        str,
        complete.option(
            f"dtype of the written files: {listed(DTYPES)}; auto keeps the source dtype (bfloat16 for quantised GGUF).",
            *DTYPES,
        ),
    ] = "auto",
    completions: Annotated[
        int, typer.Option(min=0, max=6, help="Completions of built-in prompts by the dense and the pruned model.")
    ] = 2,
    sandbox: Sandbox = "auto",
    sandbox_seconds: SandboxSeconds = SANDBOX_SECONDS,
    sandbox_memory: SandboxMemory = SANDBOX_MEMORY,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes and measurements as JSON.")] = False,
) -> None:
    """Prune a model, measure it, and write it as a Hugging Face directory with a model card."""
    from autoprune.evaluation.export import produce
    from autoprune.evaluation.recipe import Recipe
    from autoprune.measuring.algorithms import open_algorithms, own_by_default
    from autoprune.models.hub import check_upload, upload

    if private and push_to_hub is None:
        raise UsageError("--private is about the repository of --push-to-hub NAME")
    config = experiment_config(context.params)
    check_options(context, structure, UNSTRUCTURED)
    target = None if sparsity is None else share(sparsity, "--sparsity")
    repository = check_upload(push_to_hub) if push_to_hub is not None else None
    if structure is not None:
        method = algorithm if given(context, "algorithm") else None
        prune_structures(config, structure, params, method, compensate, multiple, out, as_json, repository, private)
        return
    recipe = Recipe.given(target, allocation, update, pattern, unit, refinement)
    try:
        with open_algorithms([algorithm], config.sandbox) as (chosen,):
            recipe = own_by_default(recipe, allocation, chosen)
            made = produce(config, chosen, recipe.with_statistics(statistics, chosen), out, packed, completions)
    except CandidateFailure as failure:
        raise AutoPruneError(f"the algorithm {algorithm} failed: {failure}") from None
    address = upload(out, repository, private) if repository is not None else None
    if as_json:
        print_json({**_facts(made), "hub": address})
        return
    _show(made, seqlen, windows, data)
    if address is not None:
        console().print(plain(f"uploaded to {address}"), soft_wrap=True)


def _facts(made: "Produced") -> dict[str, Any]:
    return {
        **made.facts,
        "out": str(made.exported.path),
        "bytes": made.exported.bytes,
        "dense_bytes": made.dense_bytes,
        "zeros": made.exported.zeros,
        "weights": made.exported.weights,
        "sparsity": made.exported.sparsity,
        "packed": str(made.packed) if made.packed else None,
        "packed_bytes": made.sizes.packed if made.sizes else None,
        "completions": [asdict(texts) for texts in made.completions],
        "seconds": made.seconds,
    }


def _show(made: "Produced", seqlen: int, windows: int, data: str) -> None:
    done, text = made.exported, f"{data}, report split, {windows_of_text(windows, seqlen, made.facts['bos'])}"
    lines = [
        f"{done.path}  {done.bytes / 1e6:,.1f} MB, {made.facts['dtype']}",
        f"zeros       {done.zeros:,} of {done.weights:,} ({done.sparsity:.2%})",
        f"perplexity  {made.perplexity:.3f}, dense {made.dense_perplexity:.3f}  ({text})",
    ]
    if made.packed and made.sizes:
        share_of = made.sizes.packed / made.sizes.directory
        lines.append(f"{made.packed}  {made.sizes.packed / 1e6:,.1f} MB ({share_of:.0%} of the directory)")
    for texts in made.completions:
        lines += completion_lines(texts.prompt, [("dense", texts.dense), ("pruned", texts.pruned)])
    lines += [
        f"on disk     {done.bytes / 1e6:,.1f} MB, dense {made.dense_bytes / 1e6:,.1f} MB; zeros are stored as numbers, "
        "and no runtime is faster for them",
    ]
    if done.exportable:
        words = ("autoprune", "export", str(done.path), "--quantise", "q8_0", "--out", f"{done.path.name}.gguf")
        lines.append(f"next        {shlex.join(words)}   (for llama.cpp)")
    for line in lines:
        console().print(plain(line), soft_wrap=True)
