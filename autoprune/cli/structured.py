"""`--structure` of `autoprune prune` and `autoprune compare`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from autoprune.cli import complete
from autoprune.cli.common import console, print_json
from autoprune.cli.parse import choice, listed, share, words
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.progress import progress
from autoprune.pruning.shapes import STRUCTURES
from autoprune.pruning.structures.spec import BLOCK, COMPENSATIONS
from autoprune.report.text import plain, windows_of_text

if TYPE_CHECKING:
    from autoprune.evaluation.structured import StructuredRecipe
    from autoprune.evaluation.structured_compare import StructuredRow
    from autoprune.evaluation.structured_export import Reduced

PARAMS = "0.2"
ONLY_STRUCTURED = ("params", "compensate", "multiple")
DEFAULTS = {"depth": "shortgpt"}
"""The algorithm of a structure, by default wanda-sp."""

Structure = Annotated[
    str | None,
    complete.option(
        f"Remove structures instead of single weights: {listed(tuple(STRUCTURES))} (FFN channels, groups of attention "
        "heads, decoder blocks, the first two).",
        *STRUCTURES,
    ),
]
Structures = Annotated[
    str | None,
    complete.list_option(f"Compare structured methods: {listed(tuple(STRUCTURES))}, by commas.", *STRUCTURES),
]
Params = Annotated[
    str | None, typer.Option(help=f"Share of the decoder blocks' parameters to remove; default {PARAMS}.")
]
ParamsList = Annotated[
    str | None, typer.Option(help=f"The same shares to remove with --structure, by commas; default {PARAMS}.")
]
Compensate = Annotated[
    str | None,
    complete.option(f"For removed structures: {listed(COMPENSATIONS)}; default none.", *COMPENSATIONS),
]
Compensates = Annotated[
    str | None,
    complete.list_option(
        f"With --structure: {listed(COMPENSATIONS)}, by commas; default none,least-squares.", *COMPENSATIONS
    ),
]
Multiple = Annotated[
    int,
    typer.Option(min=1, help="With --structure: the FFN width is a multiple of this; quantised GGUF files want 32."),
]


def check_options(context: typer.Context, structure: str | None, unstructured: Sequence[str]) -> None:
    """Raises UsageError for options of structured pruning without --structure, and for the others with it."""
    wrong = ONLY_STRUCTURED if structure is None else unstructured
    for name in wrong:
        if given(context, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} needs --structure"
                if structure is None
                else f"--structure takes no {option}; leave it out (docs/structured.md has its options)"
            )


def given(context: typer.Context, name: str) -> bool:
    """Whether an option was given on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def prune_structures(
    config: Config,
    structure: str,
    params: str | None,
    algorithm: str | None,
    compensate: str | None,
    multiple: int,
    out: Path,
    as_json: bool,
) -> None:
    """Remove structures from a model, measure and write it, and show the result. `algorithm`: None for the default."""
    from autoprune.evaluation.structured import StructuredRecipe
    from autoprune.evaluation.structured_export import produce_reduced

    recipe = StructuredRecipe(
        structure=choice(structure, tuple(STRUCTURES)),
        params=share(params or PARAMS, "--params"),
        algorithm=algorithm or DEFAULTS.get(structure, "wanda-sp"),
        compensate=choice(compensate or "none", COMPENSATIONS),
        multiple=multiple,
    )
    made = produce_reduced(config, recipe, out)
    if as_json:
        print_json({**made.facts, "out": str(made.path), "bytes": made.bytes, "seconds": made.seconds})
    else:
        _show(made)


def _show(made: "Reduced") -> None:
    facts = made.facts
    text = facts["perplexity_text"]
    where = f"{text['source']}, report split, {windows_of_text(text['windows'], text['seqlen'], facts['bos'])}"
    changes = [
        f"{key.replace('_', ' ')} {facts['shape_dense'][key]:,} to {value:,}"
        for key, value in facts["shape"].items()
        if value != facts["shape_dense"][key]
    ]
    lines = [
        f"{made.path}  {made.bytes / 1e6:,.1f} MB",
        f"removed     {facts['params_removed']:.2%} of the decoder blocks' parameters ({', '.join(changes)})",
        f"parameters  {facts['parameters']:,}, dense {facts['parameters_dense']:,}",
        f"perplexity  {facts['perplexity']:.3f}, dense {facts['perplexity_dense']:.3f}  ({where})",
    ]
    for line in lines:
        console().print(plain(line), soft_wrap=True)


def compare_structures(
    config: Config,
    structures: str,
    params: str | None,
    algorithms: str | None,
    compensate: str | None,
    multiple: int,
    seeds: int,
    as_json: bool,
) -> None:
    """Measure structured methods and show them. `algorithms`: None for all that rank what is removed."""
    from autoprune.evaluation.structured_compare import compare_structured

    recipes = _recipes(words(structures), words(params or PARAMS), algorithms, compensate, multiple)
    rows = []
    with progress("comparing", 1 + seeds * len(recipes), "rows") as advance:
        for row in compare_structured(config, recipes, seeds):
            advance(1)
            rows.append(row)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        text = windows_of_text(rows[0].windows, rows[0].seqlen, rows[0].bos)
        console().print(plain(f"{config.model}, perplexity on {config.data.source}: {text}, report split"))
        console().print(_table(rows))
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _recipes(
    structures: Sequence[str], shares: Sequence[str], algorithms: str | None, compensate: str | None, multiple: int
) -> list["StructuredRecipe"]:
    """A recipe for every structure, share, algorithm and compensation; blocks have no compensation."""
    from autoprune.evaluation.structured import StructuredRecipe
    from autoprune.pruning.structures.table import that_rank

    recipes = []
    for structure, params in product(structures, shares):
        kinds = STRUCTURES[choice(structure, tuple(STRUCTURES))]
        names = words(algorithms) if algorithms else that_rank(*kinds)
        if compensate is None:
            ways = ["none"] if kinds == (BLOCK,) else ["none", "least-squares"]
        else:
            ways = words(compensate)
        for name, way in product(names, ways):
            recipe = StructuredRecipe(structure, share(params, "--params"), name, choice(way, COMPENSATIONS))
            recipes.append(recipe if kinds == (BLOCK,) else replace(recipe, multiple=multiple))
    return recipes


def _table(rows: Sequence["StructuredRow"]) -> Table:
    """One row per recipe over all seeds; optional columns with equal values are left out."""
    from statistics import fmean, stdev

    groups: dict[tuple[Any, ...], list[StructuredRow]] = {}
    for row in rows:
        groups.setdefault((row.structure, row.params_target, row.algorithm, row.compensate), []).append(row)
    lines = []
    for group in groups.values():
        row, values = group[0], [row.perplexity for row in group if row.perplexity is not None]
        mean = f"{fmean(values):.2f}" if len(values) == len(group) else "failed" if row.failed else "not finite"
        lines.append(
            {
                "structure": row.structure,
                "algorithm": row.algorithm,
                "compensate": row.compensate,
                "removed": f"{row.params_removed:.2%}",
                "M params": f"{row.parameters / 1e6:.2f}",
                "MB": f"{row.bytes / 1e6:,.1f}",
                "perplexity": mean,
                "+-": f"{stdev(values):.2f}" if len(values) > 1 else "",
                "seconds": f"{row.seconds:.1f}",
            }
        )
    varied = {name for name in lines[0] if len({line[name] for line in lines[1:]}) > 1}
    shown = [name for name in lines[0] if name in varied or name not in ("structure", "compensate", "+-")]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in shown:
        left = name in ("structure", "algorithm", "compensate")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for line in lines:
        table.add_row(*(plain(line[name]) for name in shown))
    return table
