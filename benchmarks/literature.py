"""The table of the pruning literature: LLaMA-2-7B and LLaMA-3-8B on WikiText-2, beside published figures.

    python benchmarks/literature.py [--dry-run] [--recipe FILE.yaml] [--rows FILE.jsonl] [--only TEXT] [--table]
                                    [KEY=VALUE ...]

`literature.yaml` says what is measured. `--dry-run` checks all of it and prints the plan, with the memory that each
cell needs at most and the command for it alone; it needs neither weights nor a network. Each row is appended to the
file as soon as it is measured, so that a run that was stopped goes on where it ended. `--only` limits the cells to
those whose name contains a text. `KEY=VALUE` changes the recipe, such as `device=cpu` or `windows=[2048]`.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from autoprune.config import Config, load_config
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.evaluator import dense, measure
from autoprune.evaluation.perplexity import check_length
from autoprune.evaluation.pruned import NotFinite
from autoprune.evaluation.texts import read_text, tokenise
from autoprune.evaluation.zeroshot import zero_shot
from autoprune.log import log_to
from autoprune.measuring.algorithms import open_algorithms
from autoprune.models.target import Target, load_target

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `benchmarks` is found when this runs as a script

from benchmarks.literature_recipe import Cell, Recipe, device_bytes, read_recipe

RECIPE = Path(__file__).with_suffix(".yaml")
GIB = 2**30


@log_to(print)
def main(words: Sequence[str] | None = None) -> int:
    """Returns the exit code: 1 if a cell failed, 2 for a recipe that cannot be used."""
    arguments = _arguments(words)
    try:
        recipe = read_recipe(arguments.recipe, arguments.changes)
        cells = [cell for cell in recipe.cells() if arguments.only in cell.name]
        if not cells:
            raise UsageError(f"no cell of {arguments.recipe} has {arguments.only!r} in its name")
        if arguments.dry_run:
            print(plan(recipe, cells, arguments))
            return 0
        rows = _read(arguments.rows)
        if not arguments.table:
            for row in _measured(recipe, cells, {row["cell"] for row in rows if row.get("perplexity")}):
                rows.append(row)
                with arguments.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{row['cell']}: {row.get('perplexity') or row['failure']}", flush=True)
        print(table(recipe, cells, rows))
        latest = {row["cell"]: row for row in rows}
        return int(any("failure" in latest[cell.name] for cell in cells if cell.name in latest))
    except AutoPruneError as error:
        print(f"literature: {error}")
        return 2


def plan(recipe: Recipe, cells: Sequence[Cell], arguments: argparse.Namespace) -> str:
    """The cells as a Markdown table, with memory and command."""
    from_here = ["python", "benchmarks/literature.py"]
    if arguments.recipe != RECIPE:
        from_here += ["--recipe", str(arguments.recipe)]
    lines = ["| cell | published | GiB of the device, at most | command |", "| --- | --- | ---: | --- |"]
    needed = cache(device_bytes)
    for cell in cells:
        command = shlex.join([*from_here, "--only", cell.name, *arguments.changes])
        size = needed(recipe, cell.model, cell.window, cell.reads_gradient) / GIB
        lines.append(f"| {cell.name} | {_published(recipe, cell)} | {size:.0f} | `{command}` |")
    tasks = f", and {', '.join(recipe.tasks)} with windows of {recipe.windows[0]}" if recipe.tasks else ""
    lines += ["", f"{len(cells)} cells: perplexity on {recipe.data}{tasks}; {recipe.calibration_samples} sequences of "]
    lines[-1] += f"{recipe.calibration} as calibration; nothing was loaded or measured."
    return "\n".join(lines)


def table(recipe: Recipe, cells: Sequence[Cell], rows: Sequence[dict[str, Any]]) -> str:
    """What was measured, in Markdown, beside published figures."""
    by_cell = {row["cell"]: row for row in rows}
    lines = ["| cell | perplexity | published | tasks, mean | seconds |", "| --- | ---: | --- | ---: | ---: |"]
    for cell in cells:
        if row := by_cell.get(cell.name):
            value = f"{row['perplexity']:.2f}" if row.get("perplexity") else row["failure"]
            tasks = row.get("tasks") or {}
            mean = f"{100 * sum(tasks.values()) / len(tasks):.2f}" if tasks else ""
            seconds = f"{row['seconds']:.0f}" if "seconds" in row else ""
            lines.append(f"| {cell.name} | {value} | {_published(recipe, cell)} | {mean} | {seconds} |")
    notes = dict.fromkeys(source for cell in cells for source, _ in recipe.published_of(cell))
    return "\n".join([*lines, "", *(f"- {number}: {note}" for number, note in enumerate(notes, 1))])


def _published(recipe: Recipe, cell: Cell) -> str:
    return ", ".join(f"{perplexity:.2f}" for _, perplexity in recipe.published_of(cell))


def _measured(recipe: Recipe, cells: Sequence[Cell], done: set[str]) -> Iterator[dict[str, Any]]:
    """A row for each cell that is not done. A model is loaded once for each length of window."""
    for (model, window), group in groupby(cells, key=lambda cell: (cell.model, cell.window)):
        missing = [cell for cell in group if cell.name not in done]
        if missing:
            bench, config = _opened(recipe, model, window)
            tasks = recipe.tasks if window == recipe.windows[0] else []
            for cell in missing:
                yield {"cell": cell.name, "id": recipe.model(model).id, **_row(bench, config, cell, tasks)}


def _opened(recipe: Recipe, model: str, window: int) -> tuple[Bench, Config]:
    """A model with the whole test split in windows."""
    known = recipe.model(model)
    target = load_target(known.id, recipe.device, recipe.dtype)
    check_length(target, window)
    tokens = tokenise(read_text(recipe.data, "report", target.tokenizer), target.tokenizer)
    windows = recipe.report_windows or max(len(tokens) // window, 1)
    config = load_config(None, recipe.settings(known.id, window, windows))
    return open_bench(config, None, target), config


def _row(bench: Bench, config: Config, cell: Cell, tasks: Sequence[str]) -> dict[str, Any]:
    """Prune, measure, and restore the dense weights; a failure is a row that says so."""
    accuracies: dict[str, float] = {}

    def look(target: Target) -> None:
        for result in zero_shot(target, tasks) if tasks else ():
            if result.metric == "acc":
                accuracies[result.task] = result.value

    try:
        if cell.recipe is None:
            measured = dense(bench, "report")
            look(bench.target)
        else:
            with open_algorithms([cell.score], config.sandbox) as (algorithm,):
                measured = measure(bench, algorithm, cell.recipe, "report", look=look)
    except NotFinite as failure:
        return {"failure": str(failure)}
    except (AutoPruneError, CandidateFailure) as error:
        return {"failure": str(error)}
    about = bench.fingerprints()
    return {
        "perplexity": measured.perplexity,
        "sparsity": measured.sparsity,
        "windows": measured.windows,
        "tasks": accuracies,
        "seconds": sum(measured.seconds.values()) + bench.take_statistics_seconds(),
        "about": {name: about[name] for name in ("model", "dtype", "device", "torch", "transformers")},
    }


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows that were measured before. Half a line, which a run that was killed leaves, is removed from the file."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]), encoding="utf-8")
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes of the recipe, such as device=cpu")
    parser.add_argument("--dry-run", action="store_true", help="print the plan; load and measure nothing")
    parser.add_argument("--recipe", type=Path, default=RECIPE, metavar="FILE.yaml")
    parser.add_argument("--rows", type=Path, default=Path("literature.jsonl"), help="where rows are kept")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells whose name contains this")
    parser.add_argument("--table", action="store_true", help="print the table of the rows, and measure nothing")
    return parser.parse_args(words)


if __name__ == "__main__":
    raise SystemExit(main())
