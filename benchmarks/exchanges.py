"""What exchanges cost and gain, by their number of rounds, beside those of the algorithms that are shipped.

    python benchmarks/exchanges.py [--model M] [--rounds 2 4 8 16] [KEY=VALUE ...]

On the sampled decoder blocks of the search's first rung, from Wanda's score at the configured sparsity, within rows. An
algorithm in `candidates/discovered` holds the exchanges of its day, which are run with the same score.

Cost is processor time on one thread, in units of one product of each weight with its Hessian in the same run: what
improves masks by the Hessian cannot do with less. Error is the mean relative reconstruction error of these blocks
(`evaluation/reconstruction.py`).
"""

import argparse
import importlib
import math
import pkgutil
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import autoprune.candidates.discovered as shipped
from autoprune.agents.symbolic.parts.exchange import exchange
from autoprune.config import load_config
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.log import log_to
from autoprune.pruning.masks import make_mask
from autoprune.pruning.scores import wanda

Exchange = Callable[[Tensor, Any, str, int], Tensor]
Score = Callable[[Any], Tensor]

REPEATS = 5
"""The shortest of so many times counts: anything else on the machine only adds."""


@log_to(print)
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", nargs="+", type=int, default=[2, 4, 8, 16])
    options = parser.parse_intermixed_args()
    config = load_config(None, [f"model={options.model}", *options.settings])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    bench = open_bench(config, None)
    torch.set_num_threads(1)
    views = sampled_views(bench, config.sparsity)
    wanted = [("the engine's", exchange, rounds) for rounds in options.rounds]
    wanted += [(name, kind, 8) for name, kind in older().items()]
    scores = [scored_by(kind, rounds) for _, kind, rounds in wanted]
    costs = shortest([product, *scores], views)
    table = Table("exchanges", "rounds", "cost", "error")
    table.add_row("none", "", "", f"{error(bench, views, wanda):.4f}")
    for (name, _, rounds), score, cost in zip(wanted, scores, costs[1:], strict=True):
        table.add_row(name, str(rounds), f"{cost / costs[0]:.2f}", f"{error(bench, views, score):.4f}")
    console.print(table)


def product(view: Any) -> Tensor:
    """The unit of cost."""
    return view.weight @ view.hessian


def scored_by(kind: Exchange, rounds: int) -> Score:
    return lambda view: kind(wanda(view), view, "row", rounds)


def sampled_views(bench: Bench, sparsity: float) -> list[Any]:
    """What a candidate sees of each sampled layer."""
    sample = bench.sampled("search")
    assert sample is not None, "advanced.layer_error=null leaves nothing to sample"
    bundle = bench.readable(("hessian",))
    return [bundle.view(name, sparsity) for name in sample.layers]


def older() -> dict[str, Exchange]:
    """The exchanges that shipped algorithms hold."""
    modules = [
        importlib.import_module(f"{shipped.__name__}.{found.name}") for found in pkgutil.iter_modules(shipped.__path__)
    ]
    return {module.__name__.rpartition(".")[2]: module.exchange for module in modules if hasattr(module, "exchange")}


def shortest(scores: list[Score], views: list[Any]) -> list[float]:
    """Seconds of processor time of each on all layers. They take turns, so that a slow minute hits them alike."""
    seconds = [math.inf] * len(scores)
    for _ in range(REPEATS):
        for number, score in enumerate(scores):
            started = time.process_time()
            for view in views:
                score(view)
            seconds[number] = min(seconds[number], time.process_time() - started)
    return seconds


def error(bench: Bench, views: list[Any], score: Score) -> float:
    """Mean over the layers."""
    sample = bench.sampled("search")
    assert sample is not None
    found = []
    for name, view in zip(sample.layers, views, strict=True):
        mask = make_mask(score(view), view.weight, round(view.sparsity * view.weight.numel()), "row")
        found.append(sample.error(name, view.weight, mask))
    return statistics.fmean(found)


if __name__ == "__main__":
    main()
