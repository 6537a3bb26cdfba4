"""What the sandbox costs per candidate, beside one evaluation on the search split.

    python benchmarks/sandbox_overhead.py [--engine local --engine docker] [--candidates 8] [--model smollm2-135m]

Overhead is everything but the candidate's own tensor work: from opening the source to the last checked score, minus the
seconds inside `score` as the worker saw them. It includes reading the bundle and turning weights into float32. In the
`--pause` seconds between candidates the next worker warms up, as it does while a candidate is measured.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from autoprune.config import SandboxSettings, load_config
from autoprune.errors import SandboxUnavailable
from autoprune.evaluation.bench import Bench, open_bench
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.docker import DockerSandbox
from autoprune.sandbox.local import LocalSandbox

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
ENGINES: dict[str, Callable[[SandboxSettings], Sandbox]] = {
    "local": LocalSandbox,
    "docker": lambda settings: DockerSandbox(settings, print),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="default: both")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--pause", type=float, default=3.0)
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    bench = open_bench(load_config(None, [f"model={options.model}"]), None, print)
    started = time.perf_counter()
    measured = bench.dense("search")
    evaluation = time.perf_counter() - started
    size = f"{measured.windows} windows of {measured.seqlen} tokens"
    print(f"\n{options.model}: {bench.target.weights:,} weights in {len(bench.layers)} layers")
    print(f"one evaluation on the search split ({size}): {evaluation:.2f} s\n")
    print(
        f"{'sandbox':8} {'open':>8} {'scores':>8} {'own work':>9} {'overhead':>9} {'to evaluation':>14}   (medians, s)"
    )
    for name in options.engine or list(ENGINES):
        try:
            sandbox = ENGINES[name](SandboxSettings())
        except SandboxUnavailable as error:
            print(f"{name:8} {error}")
            continue
        try:
            rows = [one_candidate(sandbox, bench, bench.bundle(), options.pause) for _ in range(options.candidates)]
        finally:
            sandbox.close()
        opening, scoring, own = (statistics.median(column) for column in zip(*rows, strict=True))
        overhead = statistics.median(row[0] + row[1] - row[2] for row in rows)
        share = overhead / evaluation
        print(f"{name:8} {opening:8.3f} {scoring:8.3f} {own:9.3f} {overhead:9.3f} {share:13.1%}")


def one_candidate(sandbox: Sandbox, bench: Bench, bundle: Path, pause: float) -> tuple[float, float, float]:
    """Seconds to open, to get all scores, and inside `score`."""
    time.sleep(pause)
    sparsity = {layer.name: 0.6 for layer in bench.layers}
    started = time.perf_counter()
    with sandbox.open(WANDA, bundle) as session:
        opened = time.perf_counter()
        for _ in session.scores(sparsity):
            pass
        done = time.perf_counter()
        own: float = getattr(session, "claimed_seconds", 0.0)
    return opened - started, done - opened, own


if __name__ == "__main__":
    main()
