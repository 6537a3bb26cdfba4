"""`--structure` of `autoprune prune` and `autoprune compare`."""

from collections.abc import Mapping, Sequence
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
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.progress import progress
from autoprune.pruning.shapes import STRUCTURES
from autoprune.pruning.structures.spec import BLOCK, COMPENSATIONS
from autoprune.report.text import plain, windows_of_text

if TYPE_CHECKING:
    from autoprune.evaluation.structured_compare import StructuredRow
    from autoprune.evaluation.structured_export import Reduced
    from autoprune.evaluation.structured_recipe import RanksStructures, StructuredRecipe

PARAMS = "0.2"
ONLY_STRUCTURED = ("params", "compensate", "multiple")
DEFAULTS = {"depth": "shortgpt"}
"""The algorithm of a structure, by default wanda-sp."""
OPTIONAL = ("structure", "compensate", "+-", "repeatable")
"""Columns that are left out where all rows have the same."""

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
    repository: str | None,
    private: bool,
) -> None:
    """Remove structures from a model, measure and write it, upload it to the `repository` of the hub if there is one,
    and show the result. `algorithm`: None for the default."""
    from autoprune.evaluation.structured_export import produce_reduced
    from autoprune.evaluation.structured_recipe import StructuredRecipe
    from autoprune.measuring.structured_algorithms import open_structured
    from autoprune.models.hub import upload

    recipe = StructuredRecipe(
        structure=choice(structure, tuple(STRUCTURES)),
        params=share(params or PARAMS, "--params"),
        algorithm=algorithm or DEFAULTS.get(structure, "wanda-sp"),
        compensate=choice(compensate or "none", COMPENSATIONS),
        multiple=multiple,
    )
    try:
        with open_structured([recipe.algorithm], config.sandbox) as (chosen,):
            made = produce_reduced(config, replace(recipe, algorithm=chosen.name), out, chosen)
    except CandidateFailure as failure:
        raise AutoPruneError(f"the algorithm {recipe.algorithm} failed: {failure}") from None
    address = upload(out, repository, private) if repository is not None else None
    if as_json:
        sizes = {"out": str(made.path), "bytes": made.bytes, "seconds": made.seconds}
        print_json({**made.facts, **sizes, "hub": address})
        return
    _show(made)
    if address is not None:
        console().print(plain(f"uploaded to {address}"), soft_wrap=True)


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
    from autoprune.measuring.structured_algorithms import open_structured
    from autoprune.pruning.structures.table import that_rank

    chosen = [choice(structure, tuple(STRUCTURES)) for structure in words(structures)]
    ranking = {structure: that_rank(*STRUCTURES[structure]) for structure in chosen}
    names = words(algorithms) if algorithms else sorted({name for of in ranking.values() for name in of})
    rows = []
    with open_structured(names, config.sandbox) as opened:
        by_structure = {
            structure: opened if algorithms else [each for each in opened if each.name in ranking[structure]]
            for structure in chosen
        }
        recipes = _recipes(by_structure, words(params or PARAMS), compensate, multiple)
        with progress("comparing", 1 + seeds * len(recipes), "rows") as advance:
            for row in compare_structured(config, recipes, seeds, opened):
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
    algorithms: Mapping[str, Sequence["RanksStructures"]], shares: Sequence[str], compensate: str | None, multiple: int
) -> list["StructuredRecipe"]:
    """A recipe for every structure, share, algorithm and compensation; blocks have none, nor has a candidate that
    compensates itself."""
    from autoprune.evaluation.structured_recipe import StructuredRecipe

    recipes = []
    for structure, params in product(algorithms, shares):
        whole_blocks = STRUCTURES[structure] == (BLOCK,)
        for algorithm in algorithms[structure]:
            alone = whole_blocks or algorithm.updates
            ways = words(compensate) if compensate else ["none"] if alone else ["none", "least-squares"]
            for way in ways:
                chosen = choice(way, COMPENSATIONS)
                recipe = StructuredRecipe(structure, share(params, "--params"), algorithm.name, chosen)
                recipes.append(recipe if whole_blocks else replace(recipe, multiple=multiple))
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
                "repeatable": "no" if any(row.repeatable is False for row in group) else "",
                "seconds": f"{row.seconds:.1f}",
            }
        )
    varied = {name for name in lines[0] if len({line[name] for line in lines[1:]}) > 1}
    varied |= {"repeatable"} & {name for line in lines for name in line if line[name] == "no"}
    shown = [name for name in lines[0] if name in varied or name not in OPTIONAL]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in shown:
        left = name in ("structure", "algorithm", "compensate")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for line in lines:
        table.add_row(*(plain(line[name]) for name in shown))
    return table
