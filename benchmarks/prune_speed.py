"""Time and perplexity of Wanda and SparseGPT, ours and llm-compressor's, on the same calibration tokens and windows.

    python benchmarks/prune_speed.py [--model smollm2-135m] [--sparsity 0.6] [--peer-python VENV/bin/python]

llm-compressor is an optional peer in a virtual environment of its own (`pip install llmcompressor`); without
`--peer-python` only our side is printed. It runs twice for Wanda: with a recipe that ignores the head, and with
`ignore: ["lm_head"]`, which in 0.14 does not match the head (oneshot_peer.py says why).

Everything is float32 on the CPU. Times include statistics, scores and masks or updates, but for "cached statistics":
what every further candidate costs. The limit to compare with is the forward passes over the calibration tokens alone.
Close other programs: two jobs on two cores disturb each other.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file

from autoprune.config import DataSettings
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.texts import load_splits
from autoprune.pruning.allocation.budget import matrix_zeros, total_zeros
from autoprune.pruning.bundle import LayerInfo
from autoprune.pruning.gguf_target import gguf_target, is_gguf_target
from autoprune.pruning.masks import make_mask
from autoprune.pruning.observed import Observed
from autoprune.pruning.prune import Surgery, prune_blocks
from autoprune.pruning.statistics import collect_inputs
from autoprune.pruning.target import Target, load_target

BYTES_PER_WEIGHT = 13
"""What Wanda's scores and masks must move at least: read 4 of weight, write and read 4 of score, write 1 of mask."""


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds None where nothing was timed."""

    label: str
    seconds: float
    perplexity: float | None = None
    zeros: float | None = None


def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True)
    target = load_target(arguments.model, "cpu", "float32", console.print)
    texts = DataSettings(
        calibration_samples=arguments.samples, seqlen=arguments.seqlen, report_windows=arguments.windows
    )
    splits = load_splits(texts, target.tokenizer)
    calibration, windows = splits["calibration"].tokens, splits["report"].tokens
    bench = Measurer(target, calibration, windows, arguments.sparsity)

    forward = timed(lambda: passes(target, calibration))
    rows = [
        Row("forward passes alone", forward),
        Row("dense model", 0.0, bench.perplexity(), 0.0),
    ]
    ours = {name: bench.pruned(*setting) for name, setting in SETTINGS.items()}
    rows += [Row(name, *result) for name, result in ours.items()]
    cached = bench.cached_wanda()
    rows.append(Row("wanda, cached statistics", cached))
    peers = {}
    if arguments.peer_python:
        for label, method, ignore in PEERS:
            with console.status(f"llm-compressor, {label}"):
                peers[label] = bench.peer(arguments.peer_python, directory(arguments.model), method, ignore)
            rows.append(Row(f"llm-compressor {peers[label].version}, {label}", *peers[label].result))
    console.print(
        f"{arguments.model}, sparsity {arguments.sparsity:.0%}, {torch.get_num_threads()} threads, float32, "
        f"calibration {arguments.samples} x {arguments.seqlen} tokens, "
        f"perplexity on {len(windows)} x {arguments.seqlen} report tokens"
    )
    console.print(table(rows, forward))
    bandwidth(console, target, cached, forward * 4096 / calibration.numel())
    if peers:
        ratios(console, ours, cached, {name: peer.result for name, peer in peers.items()})


Result = tuple[float, float, float]
"""Seconds, perplexity, share of zeros."""

WANDA = Published.named("wanda")
SPARSEGPT = Surgery(update="obs", own_masks=True)
SETTINGS = {
    "wanda, dense statistics": (Surgery(), False),
    "wanda, sequential": (Surgery(), True),
    "sparsegpt, dense statistics": (SPARSEGPT, False),
    "sparsegpt, sequential": (SPARSEGPT, True),
}

PEERS = (
    ("wanda", "wanda", "re:.*lm_head"),
    ("sparsegpt", "sparsegpt", "re:.*lm_head"),
    ('wanda, ignore: ["lm_head"]', "wanda", "lm_head"),
)
"""Label, method, and what the recipe ignores."""


@dataclass(frozen=True)
class Peer:
    version: str
    result: Result


class Measurer:
    """Prunes one target in several ways and measures each on the same windows."""

    def __init__(self, target: Target, calibration: torch.Tensor, windows: torch.Tensor, sparsity: float) -> None:
        self.target = target
        self.calibration = calibration
        self.windows = windows
        self.sparsity = sparsity
        sizes = [layer.size for layer in target.layers]
        shares = matrix_zeros(total_zeros(sparsity, sum(sizes)), sizes)
        self.zeros_of = {layer.name: zeros for layer, zeros in zip(target.layers, shares, strict=True)}

    def perplexity(self) -> float:
        return perplexity(window_losses(self.target, self.windows))

    def zeros(self) -> float:
        found = sum(int((self.target.live_weight(layer.name) == 0).sum()) for layer in self.target.layers)
        return found / self.target.weights

    def plan(self, layers: Sequence[LayerInfo], block: Observed) -> tuple[dict[str, int], dict[str, float]]:
        return {each.name: self.zeros_of[each.name] for each in layers}, {each.name: self.sparsity for each in layers}

    def pruned(self, surgery: Surgery, sequential: bool) -> Result:
        with self.target.edited() as put:
            started = time.perf_counter()
            prune_blocks(self.target, self.calibration, surgery, self.plan, WANDA.open, put, sequential=sequential)
            return time.perf_counter() - started, self.perplexity(), self.zeros()

    def cached_wanda(self) -> float:
        seen = Observed(self.target.prunable, collect_inputs(self.target, self.calibration))
        zeros, told = self.plan(seen.layers, seen)

        def candidate() -> None:
            with WANDA.open(seen) as scoring:
                for name, score in scoring.scores(told):
                    make_mask(score, self.target.weight(name), zeros[name], scoring.group)

        return min(timed(candidate) for _ in range(3))

    def peer(self, python: Path, model: Path, method: str, ignore: str) -> Peer:
        script = Path(__file__).with_name("oneshot_peer.py")
        with tempfile.TemporaryDirectory() as folder:
            tokens, out = Path(folder, "tokens.safetensors"), Path(folder, "pruned.safetensors")
            save_file({"tokens": self.calibration.contiguous()}, tokens)
            command = [python, script, model, tokens, out, method, str(self.sparsity), ignore]
            finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            if finished.returncode:
                raise SystemExit(f"llm-compressor failed:\n{finished.stderr[-2000:]}")
            told = json.loads(finished.stdout.strip().splitlines()[-1])
            weights = load_file(out)
        with self.target.edited() as put, self.with_head(weights["lm_head.weight"]):
            for layer in self.target.layers:
                put(layer.name, weights[f"{layer.name}.weight"])
            return Peer(told["version"], (told["seconds"], self.perplexity(), self.zeros()))

    @contextmanager
    def with_head(self, weight: torch.Tensor) -> Iterator[None]:
        """The model with another head for a while, and with other embeddings where it ties both."""
        head = self.target.model.get_output_embeddings().weight
        before = head.clone()
        head.copy_(weight)
        yield
        head.copy_(before)


@torch.inference_mode()
def passes(target: Target, tokens: torch.Tensor) -> None:
    for window in tokens:
        target.model(window.unsqueeze(0), use_cache=False, logits_to_keep=1)


def timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def table(rows: list[Row], forward: float) -> Table:
    made = Table(box=None)
    made.add_column("", no_wrap=True)
    for title in ("seconds", "of forward", "perplexity", "zeros"):
        made.add_column(title, justify="right")
    for row in rows:
        made.add_row(
            row.label,
            f"{row.seconds:.2f}" if row.seconds else "",
            f"{row.seconds / forward:.2f}" if row.seconds else "",
            f"{row.perplexity:.2f}" if row.perplexity is not None else "",
            f"{row.zeros:.4%}" if row.zeros is not None else "",
        )
    return made


def bandwidth(console: Console, target: Target, cached: float, forward_4096: float) -> None:
    """How scores and masks compare with a copy of as many bytes, and with a forward pass over 4,096 tokens."""
    block = torch.ones(1 << 26)
    out = torch.empty_like(block)
    best = min(timed(lambda: out.copy_(block)) for _ in range(5))
    rate = 2 * block.nbytes / best
    ideal = BYTES_PER_WEIGHT * target.weights / rate
    console.print(
        f"scores and masks: {cached:.2f} s for {target.weights / 1e6:.0f} million weights, "
        f"{cached / forward_4096:.1%} of one float32 forward pass over 4,096 tokens ({forward_4096:.2f} s); "
        f"moving the bytes alone would take {ideal:.3f} s at {rate / 1e9:.0f} GB/s, {cached / ideal:.0f} times less"
    )


def ratios(console: Console, ours: dict[str, Result], cached: float, peers: dict[str, Result]) -> None:
    wanda, sparsegpt = peers["wanda"], peers["sparsegpt"]
    console.print("ours / llm-compressor (at most):")
    for label, value, limit in (
        (
            "wanda, dense statistics, time",
            ours["wanda, dense statistics"][0] / wanda[0],
            1 / 3,
        ),
        ("wanda, cached statistics, time", cached / wanda[0], 1 / 20),
        ("sparsegpt, sequential, time", ours["sparsegpt, sequential"][0] / sparsegpt[0], 1 / 2),
        ("wanda, dense statistics, perplexity", ours["wanda, dense statistics"][1] / wanda[1], 1.01),
        ("wanda, sequential, perplexity", ours["wanda, sequential"][1] / wanda[1], 1.01),
        ("sparsegpt, sequential, perplexity", ours["sparsegpt, sequential"][1] / sparsegpt[1], 1.01),
    ):
        console.print(f"  {label:36} {value:6.3f}  ({limit:.3f})  {'holds' if value <= limit else 'MISSED'}")


def directory(model: str) -> Path:
    return gguf_target(model, lambda line: None) if is_gguf_target(model) else Path(model)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a built-in name or a directory")
    parser.add_argument("--sparsity", type=float, default=0.6)
    parser.add_argument("--samples", type=int, default=16, help="calibration sequences")
    parser.add_argument("--seqlen", type=int, default=512)
    parser.add_argument("--windows", type=int, default=16, help="report windows")
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has llm-compressor")
    return parser.parse_args()


if __name__ == "__main__":
    main()
