"""`autoprune compare`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import (
    SANDBOX_MEMORY,
    SANDBOX_SECONDS,
    Bos,
    Calibration,
    CalibrationSamples,
    ComputeDtype,
    Data,
    Device,
    Model,
    Offload,
    Sandbox,
    SandboxMemory,
    SandboxSeconds,
    Seqlen,
    Statistics,
    Unit,
    Windows,
    experiment_config,
)
from autoprune.cli.parse import REFINEMENTS, REFINEMENTS_HELP, UPDATES, UPDATES_HELP, share, words
from autoprune.cli.structured import (
    Compensates,
    Multiple,
    ParamsList,
    Structures,
    check_options,
    compare_structures,
    given,
)
from autoprune.config import Config
from autoprune.leagues import SHOWN
from autoprune.log import log_to
from autoprune.progress import progress
from autoprune.report.completions import lines_of_rows
from autoprune.report.text import plain, windows_of_text

if TYPE_CHECKING:
    from autoprune.evaluation.compare import Row, Spread
    from autoprune.evaluation.recipe import Recipe

REPEATABLE = "repeatable"
UNSTRUCTURED = ("sparsity", "allocations", "refinements", "updates", "patterns", "unit", "statistics", "completions")
"""Options that have no meaning with --structure."""
LEFT = ("algorithm", "found", "allocation", "refinement", "update", "pattern", "league")
OPTIONAL = ("found", "refinement", "update", "pattern", "league", "+-", REPEATABLE)
TIMES = "t: seconds for statistics (0 when cached), scores, masks with updates; +-: standard deviation over seeds"


@log_to(say)
def compare(
    context: typer.Context,
    model: Model = "smollm2-135m",
    sparsity: Annotated[str, typer.Option(help="Shares of weights to prune, separated by commas.")] = "0.6",
    algorithms: Annotated[
        str,
        typer.Option(
            help="Scores (wanda, wanda@matrix), FILE.py or RUN:CANDIDATE, by commas.",
            autocompletion=complete.algorithm_list,
        ),
    ] = "magnitude,wanda",
    structure: Structures = None,
    params: ParamsList = None,
    compensate: Compensates = None,
    multiple: Multiple = 1,
    allocations: Annotated[
        str, complete.list_option("uniform, sdsa, owl, global, searched, own, ...", *complete.ALLOCATIONS)
    ] = "uniform,sdsa",
    refinements: Annotated[str, complete.list_option(REFINEMENTS_HELP, *REFINEMENTS)] = "none",
    updates: Annotated[str, complete.list_option(UPDATES_HELP, *UPDATES)] = "none",
    patterns: Annotated[
        str, complete.list_option("none, 2:4, 4:8, ...; a pattern fixes the sparsity.", *complete.PATTERNS)
    ] = "none",
    unit: Unit = "block",
    data: Data = "builtin",
    calibration: Calibration = "builtin",
    calibration_samples: CalibrationSamples = 16,
    seqlen: Seqlen = 512,
    windows: Windows = 24,
    bos: Bos = "auto",
    statistics: Statistics = "dense",
    seeds: Annotated[int, typer.Option(min=1, help="Calibration samples drawn; mean and spread are shown.")] = 1,
    device: Device = "auto",
    dtype: ComputeDtype = "auto",
    offload: Offload = "auto",
    sandbox: Sandbox = "auto",
    sandbox_seconds: SandboxSeconds = SANDBOX_SECONDS,
    sandbox_memory: SandboxMemory = SANDBOX_MEMORY,
    completions: Annotated[
        int, typer.Option(min=0, max=6, help="Built-in prompts that every model completes; the first seed's are shown.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Measure pruning algorithms side by side: every algorithm with every allocation, refinement, update, pattern and
    sparsity; or with --structure, structured methods.

    Ends with exit code 1 when an experiment failed; the others are measured all the same.
    """
    from autoprune.evaluation.recipe import every_recipe

    config = experiment_config(context.params)
    check_options(context, structure, UNSTRUCTURED)
    if structure is not None:
        methods = algorithms if given(context, "algorithms") else None
        compare_structures(config, structure, params, methods, compensate, multiple, seeds, as_json)
        return
    lists = words(allocations), words(refinements), words(updates), words(patterns)
    shares = [share(each, "--sparsity") for each in words(sparsity)]
    recipes = every_recipe(shares, *lists, statistics, unit)
    rows = list(_measure(config, words(algorithms), recipes, seeds, completions))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        text = windows_of_text(windows, seqlen, rows[0].bos)
        console().print(plain(f"{model}, perplexity on {data}: {text}, report split"))
        console().print(_table(rows))
        from autoprune.evaluation.completions import PROMPTS

        for line in lines_of_rows(PROMPTS, [(_title(row), row.completions) for row in rows if row.completions]):
            console().print(plain(line), soft_wrap=True)
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _title(row: "Row") -> str:
    """The row's words that are not the default, as they stand in the table."""
    words = (row.algorithm, row.allocation, row.refinement, row.update, row.pattern)
    shown = [word for word in words if word != "none"]
    return " ".join(shown) + (f" {row.sparsity_target:g}" if row.sparsity_target else "")


def _measure(
    config: Config, names: Sequence[str], recipes: Sequence["Recipe"], seeds: int, completions: int
) -> Iterable["Row"]:
    from autoprune.evaluation.compare import compare as rows_of
    from autoprune.measuring.algorithms import open_algorithms

    total = 1 + seeds * len(recipes) * len(names)
    with (
        open_algorithms(names, config.sandbox) as algorithms,
        progress("comparing", total, "rows") as advance,
    ):
        for row in rows_of(config, algorithms, recipes, seeds, completions=completions):
            advance(1)
            yield row


def _table(rows: Sequence["Row"]) -> Table:
    """One row per experiment over all seeds; optional columns with equal values are left out."""
    from autoprune.evaluation.compare import spread

    groups = spread(rows)
    lines = [_cells(group) for group in groups]
    varied = {name for name in lines[0] if len({line[name] for line in lines[1:]}) > 1}
    varied |= {name for name in (REPEATABLE, "found") if any(line[name] for line in lines)}
    shown = [name for name in lines[0] if name in varied or name not in OPTIONAL]
    table = Table(box=None, padding=(0, 2, 0, 0), caption=TIMES, caption_justify="left")
    for name in shown:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for line in lines:
        table.add_row(*(plain(line[name]) for name in shown))
    return table


def _cells(group: "Spread") -> dict[str, str]:
    row = group.row
    return {
        "algorithm": row.algorithm,
        "found": row.found,
        "allocation": row.allocation,
        "refinement": row.refinement,
        "update": row.update,
        "pattern": row.pattern,
        "league": SHOWN[row.league],
        "sparsity": f"{row.sparsity_actual:.4f}",
        "perplexity": f"{group.mean:.2f}" if group.mean is not None else "failed" if row.failed else "not finite",
        "+-": f"{group.deviation:.2f}" if group.deviation is not None else "",
        REPEATABLE: "" if group.repeatable else "no",
        "t stat": f"{row.seconds_statistics:.1f}",
        "t score": f"{row.seconds_score:.1f}",
        "t mask": f"{row.seconds_mask:.1f}",
    }
