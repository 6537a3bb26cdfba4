"""What a candidate costs beside the bare forward passes of the text that it is measured on.

    python benchmarks/candidate_throughput.py [--candidates 24] [--full 6] [--model M] [KEY=VALUE ...]

One run prints both figures, in units of the bare forward passes: the dense model on all windows of the search split, by
transformers alone in a process of its own (bare_forward.py), measured before the search and before each candidate that
is timed by itself; the median counts. The passes that this package makes of the same model and text are faster on a
CPU (models/malloc.py); they are measured beside the others, and both figures are printed in units of them too:

(a) wall time of a candidate that reaches its full search-split perplexity: the tool `evaluate_candidate` from an
    approved source to a row of the archive (sandbox, statistics from disk, scores, masks, comparison with all masks
    before, perplexity). The first --full candidates of the search that were measured, on an archive of their own.
    Goal: at most 1.3.
(b) wall time of a search by the symbolic engine, from the first plan to the last analysis, by the number of its
    candidates: duplicates, failures and early stops included, and what the agents do. Goal: at most 0.5.

The search is done without the cache of measurements; dense statistics, gradient and Hessians are collected before
anything is timed, for they are kept on disk from run to run. Run it on an idle machine.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from safetensors.torch import save_file

from autoprune.candidates.contract import EXPENSIVE_FIELDS
from autoprune.config import Config, load_config
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import dense
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.llm.provider import choose_llm
from autoprune.log import log_to
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events
from autoprune.search.context import SearchContext
from autoprune.search.session import open_context, work
from autoprune.tools.evaluate import EvaluateCandidate, evaluate_candidate

Result = TypeVar("Result")

FORWARD_PASSES = 3
"""Forward passes of either kind before the search; one more goes before each candidate that is timed by itself."""
GOALS = (1.3, 0.5)


class Passes:
    """Seconds of forward passes over the search split: bare ones, and this package's own."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        target, windows = bench.target, folder / "windows.safetensors"
        save_file({"tokens": bench.windows("search").tokens.contiguous()}, windows)
        bare = Path(__file__).with_name("bare_forward.py")
        dtype = bench.fingerprints()["dtype"]
        self._command = [sys.executable, str(bare), target.name, dtype, str(target.device), str(windows)]
        self._bench = bench
        self.bare: list[float] = []
        self.own: list[float] = []

    def measure(self) -> None:
        """Once more."""
        said = subprocess.run(self._command, check=True, stdout=subprocess.PIPE, text=True).stdout
        self.bare.append(float(said.split()[-1]))
        self.own.append(timed(lambda: dense(self._bench, "search"))[0])


@dataclass(frozen=True)
class Search:
    """Seconds of the search's loop, its candidates by how they ended, and windows that were measured of how many."""

    seconds: float
    ends: Counter[str]
    windows: int
    of: int


def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    words = [f"model={arguments.model}", "llm.provider=symbolic", "advanced.cache=off", *arguments.settings]
    config = load_config(None, [*words, f"search.max_candidates={arguments.candidates}"])
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory.create(Path(folder) / "run", config)
        events = EventLog(run.events_file)
        with log_to(print):
            choice = choose_llm(config.llm)
        with open_context(run, config, choice, events) as context:
            context.workbench.bench.bundle(tuple(field.name for field in EXPENSIVE_FIELDS))
            context.workbench.bench.sampled("search")
            passes = Passes(context.workbench.bench, Path(folder))
            for _ in range(FORWARD_PASSES):
                passes.measure()
            work(context)
            search = read_search(run, context)
            alone = one_by_one(context, config, Path(folder) / "alone", arguments.full, passes)
        events.close()
    report(console, search, alone, passes)


def one_by_one(context: SearchContext, config: Config, folder: Path, count: int, passes: Passes) -> list[float]:
    """Seconds of each candidate by itself; what was measured in the search is not known here."""
    measured = [o.candidate for o in context.archive.outcomes() if o.status == "measured" and o.candidate]
    run = RunDirectory.create(folder, config)
    archive = Archive.of(run)
    measurer = replace(context.workbench.measurer, run=run, store=MeasurementStore(archive), _asked={})
    workbench = Workbench.of(measurer)
    workbench.dense("search")  # which the tool compares with, and a search measures once
    seconds, known = [], []
    for name in list(dict.fromkeys(measured))[:count]:
        run.save_source(context.run.source(name))
        measurer.sandbox.wait_until_warm()  # in a search the next one warms up while this one is measured
        passes.measure()
        request = EvaluateCandidate(candidate=name, against=known)
        took, said = timed(lambda request=request: evaluate_candidate(workbench, request))
        if said.status == "measured":
            seconds.append(took)
            known.append(name)
    archive.close()
    return seconds


def timed(job: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = job()
    return time.perf_counter() - started, result


def read_search(run: RunDirectory, context: SearchContext) -> Search:
    """From the first plan to the last reckoning, which comes after the last analysis and before the confirmation."""
    times = [datetime.fromisoformat(e.time) for e in read_events(run.events_file) if e.kind in ("planned", "spent")]
    outcomes = context.archive.outcomes()
    windows = len(context.workbench.bench.windows("search").tokens)
    measured = sum(windows if o.status == "measured" else o.data.get("windows_measured", 0) for o in outcomes)
    ends = Counter(o.reason if o.status == "stopped" else o.status for o in outcomes)
    return Search((max(times) - min(times)).total_seconds(), ends, measured, windows * len(outcomes))


def report(console: Console, search: Search, alone: list[float], passes: Passes) -> None:
    bare, own = statistics.median(passes.bare), statistics.median(passes.own)
    count = search.ends.total()
    ends = ", ".join(f"{number} {status}" for status, number in search.ends.most_common())

    def ratios(seconds: float, goal: float) -> str:
        of_bare = f"{seconds:.2f} s = {seconds / bare:.2f} x bare forward passes (goal: at most {goal})"
        return f"{of_bare}, {seconds / own:.2f} x this package's"

    console.print(f"forward passes over the search split: bare {bare:.2f} s, this package's {own:.2f} s")
    if alone:
        took = ratios(statistics.median(alone), GOALS[0])
        console.print(f"(a) {len(alone)} candidates measured in full, median: {took}")
    else:
        console.print("(a) no candidate was measured in full")
    console.print(f"(b) {count} candidates of a search ({ends}), mean: {ratios(search.seconds / count, GOALS[1])}")
    console.print(f"    {100 * search.windows / search.of:.0f} % of their windows were measured")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of the search")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--candidates", type=int, default=24, help="candidates of the search")
    parser.add_argument("--full", type=int, default=6, help="candidates that are timed one by one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
