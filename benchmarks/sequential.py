"""How well dense statistics rank algorithms that are confirmed with sequential ones.

    python benchmarks/sequential.py [--model M] [--sparsity S] [--candidates FOLDER] [--rows FILE.jsonl] [--table]
                                    [KEY=VALUE]

A search ranks algorithms that update weights with statistics of the dense model, and confirms them with statistics that
are collected behind the pruned blocks. This measures published updates with every static allocation, and the sources in
a folder, such as the `candidates` of a run, with both, on the search split. The table has Spearman's rank correlation
of the two over all algorithms and over the better half of them, and what sequential statistics gain.

Each row is appended to the file as soon as it is measured, so that a run that was stopped goes on where it ended;
`--table` only prints the table. ALPS is left out, since it takes minutes for each row.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from scipy.stats import spearmanr

from autoprune.config import load_config
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.compare import run
from autoprune.evaluation.recipe import Recipe
from autoprune.log import log_to
from autoprune.pruning.allocation.table import ALLOCATIONS
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.choose_sandbox import make_sandbox

STATIC = tuple(name for name, spec in ALLOCATIONS.items() if spec.stage == "statistics")
UPDATED = (("sparsegpt", "obs"), ("wanda", "obs"), ("ria", "obs"), ("wanda", "admm"), ("wanda", "admm-own"))
"""Scores with updates; each is measured with every static allocation."""
KINDS = ("dense", "sequential")
DEFAULT_ROWS = Path(__file__).with_suffix(".jsonl")


@log_to(print)
def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True)
    rows = read_rows(arguments.rows)
    if not arguments.table:
        measure(arguments, rows, console)
    console.print(table(rows), markup=False, highlight=False)


def experiments(sparsity: float, folder: Path | None, sandbox: Sandbox) -> Iterator[tuple[Algorithm, Recipe]]:
    """Algorithms with their recipes but for the statistics."""
    for score, update in UPDATED:
        for allocation in STATIC:
            yield Published.named(score), Recipe(sparsity, allocation, update)
    for file in sorted(folder.glob("*.py")) if folder else ():
        yield Candidate(file.stem, file.read_text(encoding="utf-8"), sandbox), Recipe(sparsity, "sdsa", own_first=True)


def measure(arguments: argparse.Namespace, rows: list[dict[str, Any]], console: Console) -> None:
    """Measure what is not among the rows yet, and append it to them and to the file."""
    words = [f"model={arguments.model}", f"sparsity={arguments.sparsity}", *arguments.settings]
    config = load_config(None, words)
    bench = open_bench(config, None)
    about = json.loads(json.dumps({**bench.fingerprints(), "sparsity": config.sparsity}))
    if rows and rows[0]["about"] != about:
        raise SystemExit(f"{arguments.rows} holds rows of another model, text or version; name another file")
    arguments.rows.write_text("".join(f"{json.dumps(row)}\n" for row in rows))  # without half a line
    done = {(row["algorithm"], row["allocation"], row["update"], row["statistics"]) for row in rows}
    sandbox = make_sandbox(config.sandbox)
    try:
        for algorithm, recipe in experiments(config.sparsity, arguments.candidates, sandbox):
            for kind in KINDS:
                key = (algorithm.name, recipe.allocation, recipe.update, kind)
                if key in done:
                    continue
                given = replace(recipe, statistics=kind)
                try:
                    row = asdict(run(bench, algorithm, given, "search"))
                except (AutoPruneError, CandidateFailure) as failure:
                    console.print(f"{' '.join(key)}: {failure}", markup=False, highlight=False)
                    continue
                rows.append({**row, "about": about})
                with arguments.rows.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                console.print(f"{' '.join(key)}: {row['perplexity']}", markup=False, highlight=False)
    finally:
        sandbox.close()


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: rank correlation and gain over all algorithms, and over the better half."""
    by_algorithm: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        if row["perplexity"] is not None:
            key = (row["algorithm"], row["allocation"], row["update"])
            by_algorithm.setdefault(key, {})[row["statistics"]] = row["perplexity"]
    pairs = sorted((both["sequential"], both["dense"]) for both in by_algorithm.values() if both.keys() == set(KINDS))
    if len(pairs) < 3:
        return f"{len(pairs)} algorithms measured with both: too few for a rank correlation"
    lines = ["| algorithms | Spearman's rho | sequential / dense perplexity, median | range |", "|---|---:|---:|---:|"]
    for name, count in (("all", len(pairs)), ("better half", (len(pairs) + 1) // 2)):
        sequential, dense = zip(*pairs[:count], strict=True)
        ratios = [pair[0] / pair[1] for pair in pairs[:count]]
        rho = spearmanr(dense, sequential).statistic
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        lines.append(f"| {name} ({count}) | {rho:.3f} | {statistics.median(ratios):.3f} | {spread} |")
    return "\n".join(lines)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that were measured before."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]  # a run that was killed leaves half a line


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings, such as data.search_windows=8")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--sparsity", type=float, default=0.6)
    parser.add_argument("--candidates", type=Path, help="a folder of candidates' sources to measure as well")
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS, help="where rows are kept")
    parser.add_argument("--table", action="store_true", help="print the table of the rows, and measure nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
