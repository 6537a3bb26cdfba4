"""The README's table: SmolLM2-135M at 50, 60 and 70 % and 2:4, scores x allocations, with and without an update.

    python benchmarks/results.py [--rows FILE.jsonl] [--windows 24] [--only TEXT] [--table]

Rows are the ones of `autoprune compare --json`, measured on the report split. Each is appended to the file as soon as
it is measured, so that a run that was stopped goes on where it ended; `--table` only prints the table. All of it takes
about two hours on two idle cores.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from autoprune.config import Config
from autoprune.config_values import Update
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.compare import dense_row, run
from autoprune.evaluation.recipe import Recipe
from autoprune.log import log_to
from autoprune.pruning.allocation.spec import Stage
from autoprune.pruning.allocation.table import ALLOCATIONS
from autoprune.pruning.scores import SCORES

SPARSITIES = (0.5, 0.6, 0.7)
DEAR = 0.6
"""The one sparsity at which allocations that take minutes are measured."""
PATTERN = "2:4"
BEHIND_PREFIX: dict[Update, str] = {"none": "wanda", "obs": "sparsegpt"}
"""The score that is measured with sequential statistics, by update."""
COLUMNS = ("50 %", "60 %", "70 %", PATTERN)
DEFAULT_ROWS = Path(__file__).with_suffix(".jsonl")

Experiment = tuple[str, Recipe]


def experiments() -> Iterator[Experiment]:
    """Cheap ones first: from statistics, then with an update, then those that take minutes each."""
    for update in ("none", "obs"):
        for sparsity in SPARSITIES:
            for score in SCORES:
                yield score, Recipe(sparsity, "uniform", update)
            for score in SCORES if update == "none" else ("wanda",):
                yield score, Recipe(sparsity, "sdsa", update)
            for allocation in (*made_from("statistics"), *made_from("scores")):
                if allocation not in ("uniform", "sdsa"):
                    yield "wanda", Recipe(sparsity, allocation, update)
            for allocation in ("uniform", "sdsa"):
                yield BEHIND_PREFIX[update], Recipe(sparsity, allocation, update, statistics="sequential")
        for score in SCORES:
            yield score, Recipe(0.5, "uniform", update, PATTERN)
        yield BEHIND_PREFIX[update], Recipe(0.5, "uniform", update, PATTERN, "sequential")
    for update, score in BEHIND_PREFIX.items():
        yield score, Recipe(DEAR, "sdsa-online", update, statistics="sequential")
    for allocation in made_from("trials"):
        yield "wanda", Recipe(DEAR, allocation)


def made_from(stage: Stage) -> list[str]:
    """The allocations that take no more than this."""
    return [name for name, spec in ALLOCATIONS.items() if spec.stage == stage]


@log_to(print)
def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True)
    rows = read_rows(arguments.rows)
    if not arguments.table:
        measure(arguments, rows, console)
    console.print(table(rows), markup=False, highlight=False)


def measure(arguments: argparse.Namespace, rows: list[dict[str, Any]], console: Console) -> None:
    """Measure what is not among the rows yet, and append it to them and to the file."""
    config = Config.model_validate({"model": arguments.model, "data": {"report_windows": arguments.windows}})
    bench = open_bench(config, None)
    about = bench.fingerprints()
    if rows and rows[0]["about"] != json.loads(json.dumps(about)):
        raise SystemExit(f"{arguments.rows} holds rows of another model, text or version; name another file")
    if not rows:
        keep(arguments.rows, rows, {**asdict(dense_row(bench, "report")), "about": about})
    done = {identity(row) for row in rows}
    wanted = [
        (score, recipe)
        for score, recipe in experiments()
        if (score, *recipe_identity(recipe)) not in done and arguments.only in f"{score} {recipe}"
    ]
    for number, (score, recipe) in enumerate(wanted, 1):
        row = measured(bench, score, recipe, console)
        if row is not None:
            keep(arguments.rows, rows, row)
            what = (
                f"{score} {recipe.allocation} {recipe.update} {recipe.statistics} {recipe.pattern} {recipe.sparsity:g}"
            )
            console.print(f"{number}/{len(wanted)}  {what}: {row['perplexity']:.2f}", markup=False, highlight=False)


def measured(bench: Bench, score: str, recipe: Recipe, console: Console) -> dict[str, Any] | None:
    """One row; None, with a line that says why, where an experiment fails."""
    try:
        return asdict(run(bench, Published.named(score), recipe, "report"))
    except (AutoPruneError, CandidateFailure) as error:
        console.print(f"{score} {recipe}: {error}", markup=False, highlight=False)
        return None


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per algorithm, allocation, update and kind of statistics; the best of each column in bold."""
    if not rows:
        return "no rows yet"
    lines: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for row in rows[1:]:
        if row["perplexity"] is not None:
            name = (row["algorithm"], row["allocation"], row["update"], row["statistics"])
            lines.setdefault(name, {})[column(row)] = row["perplexity"]
    best = {name: min((line[name] for line in lines.values() if name in line), default=0.0) for name in COLUMNS}
    first = rows[0]
    head = [
        f"Dense: {first['perplexity']:.2f} ({first['windows']} windows of {first['seqlen']} tokens, report split, "
        f"{first['about']['dtype']}).",
        "",
        "| score | allocation | update | statistics | " + " | ".join(COLUMNS) + " |",
        "| --- | --- | --- | --- |" + " ---: |" * len(COLUMNS),
    ]
    body = [
        "| " + " | ".join([*name, *(shown(line.get(column), best[column]) for column in COLUMNS)]) + " |"
        for name, line in lines.items()
    ]
    return "\n".join(head + body)


def shown(value: float | None, best: float) -> str:
    """A perplexity in three or four digits."""
    if value is None:
        return ""
    text = f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
    return f"**{text}**" if value == best else text


def column(row: dict[str, Any]) -> str:
    """The column that a row belongs to."""
    return row["pattern"] if row["pattern"] != "none" else f"{100 * row['sparsity_target']:.0f} %"


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a row the same experiment as another."""
    keys = ("algorithm", "sparsity_target", "allocation", "update", "pattern", "statistics")
    return tuple(row[key] for key in keys)


def recipe_identity(recipe: Recipe) -> tuple[Any, ...]:
    """The same of a recipe."""
    return recipe.sparsity, recipe.allocation, recipe.update, recipe.pattern, recipe.statistics


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that were measured before; the first is the dense model's, with what all of them depend on."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(path: Path, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """Add a row, in memory and on disk."""
    rows.append(row)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS, help="where rows are kept")
    parser.add_argument("--windows", type=int, default=24, help="windows of the report split")
    parser.add_argument("--only", default="", help="only experiments whose description holds this text")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
