"""What `autoprune doctor --model M` predicts of time and memory by phase, against what the phases then take.

    python benchmarks/plan.py [--sizes 1] [--offload disk] [data.seqlen=256 ...]

The Llama models of scaling.py, with random weights, written to disk with a tokenizer. Plan and phases run in processes
of their own; figures of the table are predicted, measured, and predicted / measured. Memory is anonymous memory beyond
what libraries hold, looked at every few milliseconds. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from pydoc_data.topics import topics
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from scaling import SIZES, llama, pruned
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from autoprune.config import Config, load_config
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.probe import CANDIDATE
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import load_splits
from autoprune.measuring.resource_plan import plan
from autoprune.models.target import load_target
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.choose_sandbox import make_sandbox
from autoprune.sandbox.memory import figures

VOCABULARY = 1024
PHASES = ("load", "statistics", "one baseline", "one candidate")
EVERY = 0.002
"""Seconds between two looks at memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of the sizes, the smallest first")
    parser.add_argument("--offload", default="none", help="none or disk")
    parser.add_argument("--one", nargs=2, metavar=("plan|phases", "MODEL"), help=argparse.SUPPRESS)
    parser.add_argument("settings", nargs="*", help="key=value")
    arguments = parser.parse_args()
    if arguments.one:
        kind, model = arguments.one
        words = [f"model={model}", "dtype=float32", f"offload={arguments.offload}", *arguments.settings]
        print(json.dumps((predicted if kind == "plan" else measured)(load_config(None, words))))
        return
    console = Console()
    table = Table(box=None, title=f"offload={arguments.offload}, float32: predicted, measured, ratio")
    table.add_column("weights", justify="right")
    table.add_column("phase")
    for name in ("predicted s", "measured s", "ratio", "predicted MB", "measured MB", "ratio"):
        table.add_column(name, justify="right")
    for hidden, blocks in SIZES[: arguments.sizes]:
        with tempfile.TemporaryDirectory() as folder, console.status(f"hidden size {hidden}, {blocks} blocks"):
            weights = write(Path(folder), hidden, blocks)
            said, found = (in_a_process(kind, folder, arguments) for kind in ("plan", "phases"))
        for phase in PHASES:
            seconds = said[phase]["seconds"], found[phase]["seconds"]
            memory = said[phase]["bytes"] / 1e6, found[phase]["bytes"] / 1e6
            cells = [f"{each:.2f}" for each in (*seconds, seconds[0] / seconds[1])]
            cells += [f"{memory[0]:.0f}", f"{memory[1]:.0f}", f"{memory[0] / memory[1]:.2f}"]
            table.add_row(f"{weights / 1e6:.1f} M", phase, *cells)
    console.print(table)


def write(folder: Path, hidden: int, blocks: int) -> int:
    """Write a model and its tokenizer; returns the number of prunable weights."""
    target = llama(hidden, blocks)
    target.model.save_pretrained(folder)
    trained = ByteLevelBPETokenizer()
    texts = [topics[name] for name in sorted(topics)]
    trained.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=["<eos>"], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<eos>").save_pretrained(folder)
    return target.weights


def predicted(config: Config) -> dict[str, dict[str, float]]:
    phases = plan(config).phases
    return {phase.name: {"seconds": phase.seconds, "bytes": phase.memory.host} for phase in phases}


def measured(config: Config) -> dict[str, dict[str, float]]:
    """The phases of a search, one after the other. The candidate's process counts with the last."""
    sandbox = make_sandbox(config.sandbox)
    sandbox.wait_until_warm()
    with tempfile.TemporaryDirectory() as cache:
        # Libraries and thread pools wake up before memory is looked at.
        pruned(llama(64, 2), torch.randint(VOCABULARY, (1, config.data.seqlen)))
        before = figures(os.getpid())["RssAnon"]
        with Phase() as load:
            target = load_target(config.model, "cpu", config.dtype, offload=config.offload)
        splits = load_splits(config.data, target.tokenizer)
        with Phase() as statistics:
            bench = Bench(
                target, splits, config, StatisticsCache(target, splits["calibration"], Path(cache, "bundles"))
            )
            bench.sampled("search")
        with Phase() as baseline:
            measure(bench, Published.named("wanda"), Recipe(config.sparsity), "search")
        with Phase() as candidate:
            found = measure(bench, Candidate("candidate", CANDIDATE, sandbox), Recipe(config.sparsity), "search")
        # Mapped files count there as far as they were read, and a candidate reads the whole bundle; but they are no
        # memory that it needs.
        mapped = sum(file.stat().st_size for file in bench.bundle().iterdir())
        sandboxed = max((found.memory_bytes or 0) - mapped, 0)
    sandbox.close()
    phases = dict(zip(PHASES, (load, statistics, baseline, candidate), strict=True))
    costs = {name: {"seconds": phase.seconds, "bytes": phase.peak - before} for name, phase in phases.items()}
    costs["one candidate"]["bytes"] += sandboxed
    return costs


class Phase:
    """The seconds that something took, and the most anonymous memory meanwhile, in bytes."""

    def __enter__(self) -> "Phase":
        self.peak = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            self.peak = max(self.peak, figures(os.getpid())["RssAnon"])
            if self._over.wait(EVERY):
                return


def in_a_process(kind: str, model: str, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    words = [*arguments.settings, "--offload", arguments.offload, "--one", kind, model]
    command = [sys.executable, __file__, *words]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(finished.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
