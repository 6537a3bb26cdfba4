"""What the sandbox costs per candidate, beside one evaluation on the search split, and what many candidates leave.

    python benchmarks/sandbox_overhead.py [--engine local --engine docker] [--candidates 8] [--model smollm2-135m]

Overhead is everything but the candidate's own tensor work: from opening the source to the last checked score, minus
what the worker saw inside `score`. It includes reading the bundle and turning weights into float32. Each candidate
begins when the next worker is warm; the table begins with the wait for that, in which a search measures. Times are
medians in seconds: by the clock, and of all processors together (this process and the worker, not the engine). On a
busy machine the clock says more about the others than about us.

With `--candidates 200` the last lines say whether anything leaks: what this process holds after the tenth candidate
and after the last one (workers: its processes and containers, a spare and one that is being removed included), and how
many workers are left when the sandbox is closed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from autoprune.config import load_config
from autoprune.config_sections import SandboxSettings
from autoprune.errors import SandboxUnavailable
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.evaluator import dense
from autoprune.log import log_to
from autoprune.sandbox import engine, leftovers, local
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.docker import DockerSandbox
from autoprune.sandbox.local import LocalSandbox
from autoprune.sandbox.timings import ReportedTimings

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
ENGINES: dict[str, Callable[[SandboxSettings], Sandbox]] = {"local": LocalSandbox, "docker": DockerSandbox}
SETTLED = 10
"""Candidates after which caches and pools have their size: docker's client keeps up to 25 connections."""
LINES = (
    *("until the next worker is warm", "to open a candidate", "to get its scores", "its own work in that"),
    *("overhead", "... to one evaluation"),
    *("processors, worker and trusted side", "overhead", "... to one evaluation"),
    *("candidates in a row", "descriptors", "memory, MiB", "threads", "workers", "workers left when closed"),
)


@dataclass(frozen=True)
class Cost:
    """Seconds of one candidate: waiting for a warm worker, to open it, to get all scores, inside `score`, and what is
    left of opening and scoring."""

    warming: float
    opening: float
    scoring: float
    own: float
    overhead: float
    processor: float
    overhead_processor: float


@dataclass(frozen=True)
class Held:
    """What this process holds: open descriptors, MiB of resident memory, threads, workers."""

    descriptors: int
    memory: float
    threads: int
    workers: int


@log_to(print)
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="default: both")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    bench = open_bench(load_config(None, [f"model={options.model}"]), None)
    began = time.perf_counter(), time.process_time()
    measured = dense(bench, "search")
    evaluation, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    console.print(f"\n{options.model}: {bench.target.weights:,} weights in {len(bench.layers)} layers")
    console.print(
        f"one evaluation on the search split ({measured.windows} windows of {measured.seqlen} tokens): "
        f"{evaluation:.2f} s, {processor:.2f} s of processors\n"
    )
    columns: dict[str, list[str]] = {}
    for name in options.engine or list(ENGINES):
        try:
            rows, held = run(ENGINES[name], bench, options.candidates)
        except SandboxUnavailable as error:
            console.print(f"{name}: {error}")
            continue
        cost = Cost(*(statistics.median(column) for column in zip(*map(astuple, rows), strict=True)))
        changes = zip(astuple(held[0]), astuple(held[-1]), strict=True)
        columns[name] = [
            *(f"{seconds:.3f}" for seconds in (cost.warming, cost.opening, cost.scoring, cost.own, cost.overhead)),
            f"{cost.overhead / evaluation:.1%}",
            *(f"{seconds:.3f}" for seconds in (cost.processor, cost.overhead_processor)),
            f"{cost.overhead_processor / processor:.1%}",
            str(len(rows)),
            *(f"{before:.0f} -> {after:.0f}" for before, after in changes),
            str(workers()),
        ]
    console.print(table(columns))


def table(columns: dict[str, list[str]]) -> Table:
    """One row per quantity, one column per sandbox, numbers to the right."""
    made = Table("seconds, medians", box=None, padding=(0, 3, 0, 0))
    for name in columns:
        made.add_column(name, justify="right")
    for row in zip(LINES, *columns.values(), strict=True):
        made.add_row(*row)
    return made


def run(make: Callable[[SandboxSettings], Sandbox], bench: Bench, candidates: int) -> tuple[list[Cost], list[Held]]:
    """Costs of the candidates, and what this process holds after each from the time that it has settled."""
    local.PROCESSES = 1  # the seconds of two side by side cannot be taken from the clock
    sandbox = make(SandboxSettings())
    try:
        rows, held = [], []
        for number in range(1, candidates + 1):
            rows.append(one_candidate(sandbox, bench, bench.bundle()))
            if number >= min(SETTLED, candidates):
                held.append(held_now())
    finally:
        sandbox.close()
    return rows, held


def one_candidate(sandbox: Sandbox, bench: Bench, bundle: Path) -> Cost:
    """Open it, ask for all scores, drop them."""
    sparsity = {layer.name: 0.6 for layer in bench.layers}
    waiting = time.perf_counter()
    sandbox.wait_until_warm()
    started, processor = time.perf_counter(), time.process_time()
    with sandbox.open(WANDA, bundle) as session:
        opened = time.perf_counter()
        for _ in session.scores(sparsity):
            pass
        done, used = time.perf_counter(), time.process_time() - processor
        claims: ReportedTimings = session.claims  # type: ignore[attr-defined]  both engines' sessions have them
    used += claims.processor
    return Cost(
        warming=started - waiting,
        opening=opened - started,
        scoring=done - opened,
        own=claims.own,
        overhead=done - started - claims.own,
        processor=used,
        overhead_processor=used - claims.own_processor,
    )


def held_now() -> Held:
    """By this process."""
    me = psutil.Process()
    return Held(me.num_fds(), me.memory_info().rss / 2**20, me.num_threads(), workers())


def workers() -> int:
    """Processes below this one, and containers of this process where an engine answers."""
    processes = len(psutil.Process().children(recursive=True))
    try:
        client, _ = engine.connect()
    except SandboxUnavailable:
        return processes
    mine = [f"{key}={value}" for key, value in leftovers.labels("").items() if value]
    containers = client.containers.list(all=True, filters={"label": mine}, ignore_removed=True)
    client.close()
    return processes + len(containers)


if __name__ == "__main__":
    main()
