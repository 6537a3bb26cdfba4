"""What each rung of the fidelity ladder tells about the last one, and what it costs.

    python benchmarks/ladder.py [--model M] [--sparsity S] [--expressions N] [--candidates FOLDER] [--rows FILE.jsonl]
                                [--table] [KEY=VALUE]

Every published score with every static allocation, random expressions of the symbolic engine (half of the families
that it starts from, half of any), each with one of the allocations in turn, and the sources in a folder, such as the
`candidates` of a run, with their own allocations. Every one is measured on all windows of the search split; what a
lower rung would have said is read off the same measurement. The first table has Spearman's rank correlation of each
rung with the last, over all algorithms and over the better half of them (the half that a search cares about), and
seconds per algorithm. The second says what `advanced.layer_error` does: in simulated searches, which measure these
algorithms in random order, the share of those worth keeping (as good as the worst of the elite) that are stopped by
their weighted reconstruction error, and the share of the others.

Each row is appended to the file as soon as it is measured, so that a run that was stopped goes on where it ended;
`--table` only prints the table. The whole takes about an hour on two idle cores.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from scipy.stats import spearmanr

from autoprune.agents.population import ELITE
from autoprune.agents.symbolic.source import source
from autoprune.agents.symbolic.variation import explore, initialise
from autoprune.candidates.screen import screen
from autoprune.config import load_config
from autoprune.errors import CandidateFailure
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.evaluator import measure as measure_one
from autoprune.evaluation.perplexity import perplexity
from autoprune.evaluation.racing import looks, order
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.reconstruction import sampled_blocks
from autoprune.evaluation.signature import agreement
from autoprune.log import log_to
from autoprune.pruning.allocation.table import ALLOCATIONS, OWN
from autoprune.pruning.layers import Readable, Session
from autoprune.pruning.scores import SCORES
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.choose_sandbox import make_sandbox

ORDERS = 1000
MARGINS = (1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
STATIC = tuple(name for name, spec in ALLOCATIONS.items() if spec.stage == "statistics")
LIKE = ("wanda", "uniform")
"""The algorithm with whose masks all others are compared: what agreement says is how far one is from Wanda."""
DEFAULT_ROWS = Path(__file__).with_suffix(".jsonl")


@log_to(print)
def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True)
    rows = read_rows(arguments.rows)
    if not arguments.table:
        measure(arguments, rows, console)
    console.print(table(rows), markup=False, highlight=False)


def algorithms(expressions: int, folder: Path | None, sandbox: Sandbox) -> Iterator[tuple[Algorithm, str, str]]:
    """Algorithm, allocation (OWN: the one that a candidate brings, or else SDSA), and the candidate's source ("" for a
    published score)."""
    yield Published.named(LIKE[0]), LIKE[1], ""
    for score in SCORES:
        for allocation in STATIC:
            if (score, allocation) != LIKE:
                yield Published.named(score), allocation, ""
    for number, allocation in enumerate(islice(cycle(STATIC), expressions)):
        random = Random(f"ladder/{number}")
        expression = initialise(random) if number % 2 else explore(random)
        text = source(expression, random.choice(("row", "matrix")))
        yield Candidate(f"expression {number}", text, sandbox), allocation, text
    for file in sorted(folder.glob("*.py")) if folder else ():
        yield Candidate(file.stem, file.read_text(encoding="utf-8"), sandbox), OWN, file.read_text(encoding="utf-8")


def measure(arguments: argparse.Namespace, rows: list[dict[str, Any]], console: Console) -> None:
    """Measure what is not among the rows yet, and append it to them and to the file."""
    words = [f"model={arguments.model}", f"sparsity={arguments.sparsity}", *arguments.settings]
    config = load_config(None, words)
    bench = open_bench(config, None)
    sampled = sampled_blocks(bench.layers)
    share = sum(layer.size for layer in bench.layers if layer.block in sampled) / bench.target.weights
    facts = {**bench.fingerprints(), "sparsity": config.sparsity, "sampled_blocks": sampled, "sampled_share": share}
    about = json.loads(json.dumps(facts))
    if rows and rows[0]["about"] != about:
        raise SystemExit(f"{arguments.rows} holds rows of another model, text or version; name another file")
    sandbox = make_sandbox(config.sandbox)
    try:
        like, *others = algorithms(arguments.expressions, arguments.candidates, sandbox)
        Random(0).shuffle(others)  # so that the table of a run that was stopped is about all kinds
        everything = [like, *others]
        done = {(row["algorithm"], row["allocation"]) for row in rows}
        for number, (algorithm, allocation, text) in enumerate(everything, 1):
            if (algorithm.name, allocation) in done:
                continue
            row = {"algorithm": algorithm.name, "allocation": allocation, "source": text, "about": about}
            row |= measured(bench, algorithm, allocation, text, config.sparsity)
            rows.append(row)
            with arguments.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            found = f"{row['perplexity']:.2f}" if "perplexity" in row else row["failure"]
            line = f"{number}/{len(everything)}  {algorithm.name} {allocation}: {found}"
            console.print(line, markup=False, highlight=False)
    finally:
        sandbox.close()


def measured(bench: Bench, algorithm: Algorithm, allocation: str, text: str, sparsity: float) -> dict[str, Any]:
    """All that the rungs say of one algorithm; or `failure`."""
    started = time.perf_counter()
    screen(text)
    screening = time.perf_counter() - started
    bench.readable(algorithm.needs)  # gradients and Hessians are collected once, not by each algorithm
    own = allocation == OWN
    opened = WorkerSpec(algorithm)
    try:
        found = measure_one(bench, opened, Recipe(sparsity, "sdsa" if own else allocation, own_first=own), "search")
    except CandidateFailure as failure:
        return {"failure": str(failure)}
    return {
        "perplexity": found.perplexity,
        "losses": [found.window_losses[place] for place in order(found.windows)],
        "reconstruction": found.reconstruction,
        "signature": found.signature.hex(),
        "seconds": {"screen": screening, "open": opened.seconds, **found.seconds},
    }


@dataclass
class WorkerSpec:
    """An algorithm, and how long it took to open it."""

    algorithm: Algorithm
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.algorithm.name

    @property
    def needs(self) -> tuple[str, ...]:
        return self.algorithm.needs

    @property
    def edits_defined(self) -> frozenset[str]:
        return self.algorithm.edits_defined

    @contextmanager
    def open(self, readable: Readable) -> Iterator[Session]:
        started = time.perf_counter()
        with self.algorithm.open(readable) as scoring:
            self.seconds = time.perf_counter() - started
            yield scoring


def stopping(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per margin."""
    random = Random(0)
    worth: dict[float, list[bool]] = {margin: [] for margin in MARGINS}
    others: dict[float, list[bool]] = {margin: [] for margin in MARGINS}
    for _ in range(ORDERS):
        order = random.sample(rows, len(rows))
        elite = sorted(order[:ELITE], key=lambda row: row["perplexity"])
        for row in order[ELITE:]:
            kept = worth if row["perplexity"] <= elite[-1]["perplexity"] else others
            limit = max(each["reconstruction"] for each in elite)
            for margin in MARGINS:
                kept[margin].append(row["reconstruction"] > margin * limit)
            elite = sorted([*elite, row], key=lambda row: row["perplexity"])[:ELITE]
    lines = [
        "| advanced.layer_error | stopped of those worth keeping | stopped of the others |",
        "| ---: | ---: | ---: |",
    ]
    for margin in MARGINS:
        shares = (f"{100 * statistics.mean(found[margin]):.1f} %" for found in (worth, others))
        lines.append(f"| {margin:g} | {' | '.join(shares)} |")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: one line per rung, then one per margin."""
    failed = [row for row in rows if "failure" in row]
    rows = [row for row in rows if "failure" not in row]
    if len(rows) < 3:
        return f"{len(rows)} algorithms measured, {len(failed)} failed: too few for a rank correlation"
    rows.sort(key=lambda row: row["perplexity"])
    windows, first = len(rows[0]["losses"]), rows[0]
    like = next(row["signature"] for row in rows if (row["algorithm"], row["allocation"]) == LIKE)
    masks, few = (masking(rows, share) for share in (1.0, first["about"]["sampled_share"]))
    forward = statistics.median(row["seconds"]["eval"] for row in rows)
    sources = [row["seconds"]["screen"] for row in rows if row["source"]]
    lines = [
        f"{len(rows)} algorithms ({len(failed)} more failed) at {100 * first['about']['sparsity']:.0f} %, perplexity "
        f"{first['perplexity']:.2f} to {rows[-1]['perplexity']:,.2f} on {windows} windows of the search split.",
        "",
        "| rung | Spearman's rho, all | better half | seconds |",
        "| --- | ---: | ---: | ---: |",
    ]
    if sources:
        lines.append(f"| source screen (passes or not) | | | {statistics.median(sources):.4f} |")
    blocks = len(first["about"]["sampled_blocks"])
    errors = [row["reconstruction"] for row in rows]
    lines.append(line(f"weighted reconstruction error of {blocks} decoder blocks", errors, rows, few))
    away = [1 - agreement(bytes.fromhex(row["signature"]), bytes.fromhex(like)) for row in rows]
    lines.append(line(f"masks: distance to those of {'+'.join(LIKE)}", away, rows, masks))
    for count in (*looks(windows), windows):
        values = [perplexity(row["losses"][:count]) for row in rows]
        name = f"perplexity after {count} of {windows} windows" if count < windows else "perplexity, full search split"
        lines.append(line(name, values, rows, masks + forward * count / windows))
    lines += [
        "",
        "Seconds are medians, each with those of the masks that it needs; all windows, and all weights, are taken to "
        "need the same time.",
        "",
        stopping(rows),
    ]
    return "\n".join(lines)


def masking(rows: list[dict[str, Any]], share: float) -> float:
    """Median seconds until a share of the weights is scored and masked."""
    phases = [row["seconds"] for row in rows]
    return statistics.median(each["open"] + share * (each["score"] + each["mask"]) for each in phases)


def line(rung: str, values: list[float], rows: list[dict[str, Any]], seconds: float) -> str:
    """One rung; the rows come best first."""
    truth, half = [row["perplexity"] for row in rows], (len(rows) + 1) // 2
    cells = [f"{spearmanr(values[:count], truth[:count]).statistic:.3f}" for count in (len(rows), half)]
    return f"| {' | '.join([rung, *cells])} | {seconds:.2f} |"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that were measured before."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings, such as data.search_windows=8")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--sparsity", type=float, default=0.6)
    parser.add_argument("--expressions", type=int, default=36, help="random expressions beside the published scores")
    parser.add_argument("--candidates", type=Path, help="a folder of candidates' sources to measure as well")
    parser.add_argument("--rows", type=Path, default=DEFAULT_ROWS, help="where rows are kept")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
