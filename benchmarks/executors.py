"""How candidates spread over workers: measured on this machine, and a model of what bounds it on 8 to 512 GPUs.

    python benchmarks/executors.py [--executor processes|ray] [--address HOST:PORT] [--workers 1 2] [--candidates 24]
                                   [--search 40] [--candidate-seconds S] [--loading-seconds S] [--run 4096]

On a synthetic target of random weights, one core a worker:

(a) measured: seconds for the same candidates, in generations of as many as there are workers, for each number of
    workers; efficiency is the time of one worker over n times the time of n. And how long it takes until every worker
    is open: interpreter, libraries, target, statistics, sandbox.
(b) measured: a search by the symbolic engine with one worker and one candidate a generation. What is not spent in the
    worker is the coordinator's: proposing, comparing masks with all that are known, archive, events. It is fitted as
    a + b k for the k-th candidate, for the more are known, the more there is to compare.
(c) a model, no measurement: a run of --run candidates on n GPUs in generations of n. Its time is that of loading, which
    all nodes do side by side, plus the coordinator's for every candidate, one after the other, as if none of that
    overlapped with measuring, plus for each generation the expected longest of n candidates, drawn from those of (b)
    with their mean scaled to --candidate-seconds. Efficiency is what the measuring alone would take on n GPUs over
    that. The longest of n is never longer than the longest that was seen, so that the barrier of large generations
    may be worse than it says.

Run it on an idle machine with a core for every worker.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from autoprune.config import Config, load_config
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.evaluation.recipe import Recipe
from autoprune.executors.base import Executor, Job
from autoprune.executors.make import joined, make_executor
from autoprune.executors.pool import Pool
from autoprune.llm.provider import choose_llm
from autoprune.log import log_to
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events
from autoprune.runs.measurement import Measurement
from autoprune.search.session import open_context, work

VOCABULARY = 2048
SOURCE = "def score(layer):\n    return layer.weight.abs() * layer.input_norm.pow({power})\n"
GPUS = (8, 16, 32, 64, 128, 256, 512)
SPARSITY = 0.5


@dataclass(frozen=True)
class Spread:
    """What n workers took: `loading` until all were open, `seconds` for the candidates."""

    workers: int
    loading: float
    seconds: float


@dataclass
class Stopwatch:
    """An executor that keeps when each job went to another one (seconds since the epoch), and how long it took."""

    executor: Executor
    jobs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def conditions(self) -> dict[str, Any]:
        return self.executor.conditions

    def measure(self, job: Job) -> Measurement:
        started = time.time()
        try:
            return self.executor.measure(job)
        finally:
            self.jobs.append((started, time.time() - started))

    def verify(self) -> None:
        self.executor.verify()

    def close(self) -> None:
        self.executor.close()


@dataclass(frozen=True)
class Searched:
    """Seconds of each candidate in the worker, and the coordinator's: `first` + `growth` k for the k-th."""

    in_worker: list[float]
    first: float
    growth: float

    def coordinator(self, candidates: int) -> float:
        """The coordinator's seconds for so many."""
        return self.first * candidates + self.growth * candidates * (candidates - 1) / 2


def main() -> None:
    arguments = read_arguments()
    os.environ["OMP_NUM_THREADS"] = "1"  # of a worker
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        save_synthetic(Path(folder) / "model", arguments.hidden, arguments.blocks)
        words = [
            f"model={folder}/model",
            "dtype=float32",
            f"sparsity={SPARSITY}",
            "llm.provider=symbolic",
            "advanced.cache=off",
            f"executor.kind={arguments.executor}",
            *([f"executor.address={arguments.address}"] if arguments.address else []),
            *arguments.settings,
        ]
        spreads = [spread(words, workers, arguments.candidates) for workers in arguments.workers]
        console.print(measured_table(spreads, arguments.candidates))
        found = search(words, arguments.search, Path(folder) / "run")
        console.print(
            f"a search of {len(found.in_worker)} measured candidates: {statistics.mean(found.in_worker):.2f} s each in "
            f"the worker (at most {max(found.in_worker):.2f} s); the coordinator's part of the k-th: "
            f"{1000 * found.first:.0f} ms + k x {1000 * found.growth:.2f} ms"
        )
    mean = arguments.candidate_seconds or statistics.mean(found.in_worker)
    loading = arguments.loading_seconds or max(each.loading for each in spreads)
    console.print(model_table(found, mean, loading, arguments.run))


@log_to(print)
def spread(words: list[str], workers: int, candidates: int) -> Spread:
    """Measure the same candidates with so many workers, generation by generation."""
    config = load_config(None, [*words, f"executor.workers={workers}", f"search.generation_size={workers}"])
    bench = open_bench(config, None)
    bench.bundle()
    recipe = Recipe(SPARSITY, config.allocation.name, unit=config.allocation.unit)
    jobs = [Job(f"job {each}", SOURCE.format(power=1 + each / 100), recipe, "search") for each in range(candidates)]
    started = time.perf_counter()
    with joined(config.executor), closing(open_pool(config, bench)) as pool:
        pool.wait_until_warm()
        loading = time.perf_counter() - started
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(pool.measure, jobs[:workers]))  # every worker's first is slower
            started = time.perf_counter()
            for place in range(0, candidates, workers):
                list(threads.map(pool.measure, jobs[place : place + workers]))
        return Spread(workers, loading, time.perf_counter() - started)


def open_pool(config: Config, bench: Bench) -> Pool:
    engine = "local" if config.sandbox.engine == "auto" else config.sandbox.engine
    made = make_executor(config, bench, engine, threading.RLock())
    assert isinstance(made, Pool)
    return made


def search(words: list[str], candidates: int, folder: Path) -> Searched:
    """A search with one worker and one candidate at a time, so that whose time it is can be told."""
    more = ["executor.workers=1", "search.generation_size=1", f"search.max_candidates={candidates}"]
    config = load_config(None, [*words, *more])
    run = RunDirectory.create(folder, config)
    events = EventLog(run.events_file)
    with log_to(print):
        choice = choose_llm(config.llm)
    with open_context(run, config, choice, events) as context:
        measurer = context.workbench.measurer
        assert measurer.executor is not None
        measurer.executor = stopwatch = Stopwatch(measurer.executor)
        work(context)
    events.close()
    times = {
        kind: [
            datetime.fromisoformat(event.time).timestamp()
            for event in read_events(run.events_file)
            if event.kind == kind
        ]
        for kind in ("planned", "spent")
    }
    marks = [*times["planned"], max(times["spent"])]
    began, took = np.array(stopwatch.jobs).T
    searching = began < marks[-1]  # the confirmation comes after that
    # What was proposed before is not measured again: then all of the time is the coordinator's.
    in_worker, _ = np.histogram(began[searching], marks, weights=took[searching])
    growth, first = np.polyfit(np.arange(len(in_worker)), np.diff(marks) - in_worker, 1)
    return Searched(list(took[searching]), max(float(first), 0.0), max(float(growth), 0.0))


def longest_of(seconds: Sequence[float], count: int) -> float:
    """The expected maximum of so many draws, with replacement, from what was seen."""
    ordered = np.sort(np.asarray(seconds))
    shares = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(shares**count))


def measured_table(spreads: Sequence[Spread], candidates: int) -> Table:
    table = Table(title=f"measured: {candidates} candidates", box=None)
    for name in ("workers", "until open s", "seconds", "candidates/min", "efficiency"):
        table.add_column(name, justify="right")
    first = spreads[0].seconds * spreads[0].workers
    for each in spreads:
        rate, efficiency = 60 * candidates / each.seconds, first / (each.workers * each.seconds)
        table.add_row(
            f"{each.workers}", f"{each.loading:.1f}", f"{each.seconds:.1f}", f"{rate:.1f}", f"{efficiency:.0%}"
        )
    return table


def model_table(found: Searched, mean: float, loading: float, run: int) -> Table:
    scale = mean / statistics.mean(found.in_worker)
    title = f"a model, not a measurement: {run} candidates of {mean:.2f} s on average, {loading:.0f} s of loading"
    table = Table(title=title, box=None)
    for name in ("GPUs", "hours", "efficiency", "loading", "coordinator", "barrier"):
        table.add_column(name, justify="right")
    for gpus in GPUS:
        ideal = run * mean / gpus
        barrier = scale * longest_of(found.in_worker, gpus) * run / gpus - ideal
        coordinator = found.coordinator(run)
        total = ideal + loading + coordinator + barrier
        shares = (f"{part / total:.0%}" for part in (loading, coordinator, barrier))
        table.add_row(f"{gpus}", f"{total / 3600:.2f}", f"{ideal / total:.0%}", *shares)
    return table


def save_synthetic(into: Path, hidden: int, blocks: int) -> None:
    """A Llama of random weights, with a tokenizer trained on the text that ships inside CPython."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=blocks,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(into)
    trained = ByteLevelBPETokenizer()
    texts = [topics[name] for name in sorted(topics)]
    trained.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=["<eos>"], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<eos>").save_pretrained(into)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of the search")
    parser.add_argument("--executor", choices=("processes", "ray"), default="processes")
    parser.add_argument("--address", help="with ray: the cluster's HOST:PORT")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2], help="numbers of workers, the least first")
    parser.add_argument("--candidates", type=int, default=24, help="candidates that are measured with each of them")
    parser.add_argument("--search", type=int, default=40, help="candidates of the search")
    parser.add_argument("--hidden", type=int, default=512, help="hidden size of the synthetic target, 64 n")
    parser.add_argument("--blocks", type=int, default=8, help="its decoder blocks")
    parser.add_argument("--candidate-seconds", type=float, help="model: of a candidate on a GPU; default: as measured")
    parser.add_argument("--loading-seconds", type=float, help="model: until a node is ready; default: as measured")
    parser.add_argument("--run", type=int, default=4096, help="model: candidates of the run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
