"""Time and perplexity of Wanda and SparseGPT, ours and llm-compressor's, on the same calibration tokens and windows.

    python benchmarks/prune_speed.py [--model smollm2-135m] [--sparsity 0.6] [--peer-python VENV/bin/python]

llm-compressor is an optional peer in a virtual environment of its own (`pip install llmcompressor`); without
`--peer-python` only our side is printed. `--peer-plain` runs its Wanda once more with `ignore: ["lm_head"]`, which
in 0.14 does not match the head (oneshot_peer.py says why).

Both sides compute on the CPU in the same `--dtype`. Times include statistics, scores and masks or updates, and are
told by parts, but for "cached statistics": what every further candidate costs. The limit to compare with is the forward
passes over the calibration tokens alone. Close other programs: two jobs on two cores disturb each other.
"""

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file

from autoprune.config_sections import DataSettings
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.prune import Method, Seconds, prune_blocks
from autoprune.evaluation.texts import load_splits
from autoprune.log import log_to
from autoprune.models.gguf_target import gguf_target, is_gguf_target
from autoprune.models.observed import Observed
from autoprune.models.target import Target, load_target
from autoprune.pruning.allocation.budget import matrix_zeros, total_zeros
from autoprune.pruning.layers import LayerInfo
from autoprune.pruning.masks import make_mask
from autoprune.pruning.threads import side_by_side

BYTES_PER_WEIGHT = 13
"""What Wanda's scores and masks must move at least: read 4 of weight, write and read 4 of score, write 1 of mask."""

SQUARE = 2048
WIDTH = 130


PARTS = ("forward", "statistics", "score", "mask", "update")


@dataclass(frozen=True)
class Result:
    """What one way of pruning took and gave, NaN where nothing was measured. `parts`: our own seconds by part."""

    seconds: float
    perplexity: float = math.nan
    zeros: float = math.nan
    parts: dict[str, float] = field(default_factory=dict)


@log_to(print)
def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True, width=WIDTH)
    target = load_target(arguments.model, "cpu", arguments.dtype)
    texts = DataSettings(
        calibration_samples=arguments.samples, seqlen=arguments.seqlen, report_windows=arguments.windows
    )
    splits = load_splits(texts, target.tokenizer)
    calibration, windows = splits["calibration"].tokens, splits["report"].tokens
    bench = Measurer(target, calibration, windows, arguments.sparsity)

    forward = timed(lambda: passes(target, calibration))
    ours = {name: bench.pruned(*setting) for name, setting in SETTINGS.items()}
    cached = bench.further_candidate()
    peers = {}
    for label, method, ignore in (PEERS + PLAIN if arguments.peer_plain else PEERS) if arguments.peer_python else ():
        with console.status(f"llm-compressor, {label}"):
            peers[label] = bench.peer(arguments.peer_python, directory(arguments.model), method, ignore)
    console.print(
        f"{arguments.model}, sparsity {arguments.sparsity:.0%}, {torch.get_num_threads()} threads, {arguments.dtype}, "
        f"calibration {arguments.samples} x {arguments.seqlen} tokens, "
        f"perplexity on {len(windows)} x {arguments.seqlen} report tokens"
    )
    rows = {
        "forward passes alone": Result(forward),
        "dense model": Result(math.nan, bench.perplexity(), 0.0),
        **ours,
        "wanda, cached statistics": cached,
        **{f"llm-compressor {bench.peer_version}, {label}": result for label, result in peers.items()},
    }
    console.print(table(rows, forward))
    limits(console, target, cached, forward, calibration.numel())
    if peers:
        ratios(console, ours, cached, peers)


WANDA = Published.named("wanda")
SPARSEGPT = Method(update="obs", own_masks=True)
SETTINGS = {
    "wanda, dense statistics": (Method(), False),
    "wanda, sequential": (Method(), True),
    "sparsegpt, sequential": (SPARSEGPT, True),
}

PEERS = (
    ("wanda", "wanda", "re:.*lm_head"),
    ("sparsegpt", "sparsegpt", "re:.*lm_head"),
)
PLAIN = (('wanda, ignore: ["lm_head"]', "wanda", "lm_head"),)
"""Label, method, and what the recipe ignores."""


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
        self.peer_version = ""
        # Pruning for good copies no dense weights. Here they are put back each time, and copied before the clock runs.
        with target.edited() as edits:
            for layer in target.layers:
                edits.weight(layer.name, target.weight(layer.name))
        self._dense: list[Observed] = []

    def perplexity(self) -> float:
        return perplexity(window_losses(self.target, self.windows))

    def zeros(self) -> float:
        found = sum(int((self.target.live_weight(layer.name) == 0).sum()) for layer in self.target.layers)
        return found / self.target.weights

    def plan(self, layers: Sequence[LayerInfo], block: Observed) -> tuple[dict[str, int], dict[str, float]]:
        return {each.name: self.zeros_of[each.name] for each in layers}, {each.name: self.sparsity for each in layers}

    def pruned(self, method: Method, sequential: bool) -> Result:
        seen: list[Observed] = []

        def plan(layers: Sequence[LayerInfo], block: Observed) -> tuple[dict[str, int], dict[str, float]]:
            seen.append(block)
            return self.plan(layers, block)

        with self.target.edited() as edits:
            started = time.perf_counter()
            parts = prune_blocks(self.target, self.calibration, method, plan, WANDA.open, edits, sequential=sequential)
            taken = time.perf_counter() - started
            result = Result(taken, self.perplexity(), self.zeros(), {part: getattr(parts, part) for part in PARTS})
        if not sequential:
            self._dense = seen
        return result

    def further_candidate(self) -> Result:
        """Wanda's scores and masks from the dense statistics of the last run that had them; the best of three."""
        results = []
        for _ in range(3):
            seconds = Seconds()
            for _ in side_by_side(self._mask, seconds.timed(self._scores())):
                seconds.spent_on("mask")
            results.append(Result(seconds.score + seconds.mask, parts={"score": seconds.score, "mask": seconds.mask}))
        return min(results, key=lambda result: result.seconds)

    def _scores(self) -> Iterator[tuple[str, torch.Tensor]]:
        for block in self._dense:
            with WANDA.open(block) as scoring:
                yield from scoring.scores(self.plan(block.layers, block)[1])

    def _mask(self, scored: tuple[str, torch.Tensor]) -> torch.Tensor:
        name, score = scored
        return make_mask(score, self.target.weight(name), self.zeros_of[name], WANDA.score.group)

    def peer(self, python: Path, model: Path, method: str, ignore: str) -> Result:
        script = Path(__file__).with_name("oneshot_peer.py")
        with tempfile.TemporaryDirectory() as folder:
            tokens, out = Path(folder, "tokens.safetensors"), Path(folder, "pruned.safetensors")
            save_file({"tokens": self.calibration.contiguous()}, tokens)
            dtype = str(self.target.dtype).removeprefix("torch.")
            command = [python, script, model, dtype, tokens, out, method, self.sparsity, ignore]
            finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            if finished.returncode:
                raise SystemExit(f"llm-compressor failed:\n{finished.stderr[-2000:]}")
            told = json.loads(finished.stdout.strip().splitlines()[-1])
            weights = load_file(out)
        self.peer_version = told["version"]
        with self.target.edited() as edits, self.with_head(weights["lm_head.weight"]):
            for layer in self.target.layers:
                edits.weight(layer.name, weights[f"{layer.name}.weight"])
            return Result(told["seconds"], self.perplexity(), self.zeros())

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


def table(rows: dict[str, Result], forward: float) -> Table:
    made = Table(box=None)
    made.add_column("seconds", no_wrap=True)
    for title in (*PARTS, "in all", "of passes", "perplexity", "% zeros"):
        made.add_column(title, justify="right")
    for label, row in rows.items():
        made.add_row(
            label,
            *(shown(row.parts.get(part, math.nan)) for part in PARTS),
            *map(shown, (row.seconds, row.seconds / forward, row.perplexity, 100 * row.zeros)),
        )
    return made


def shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def limits(console: Console, target: Target, cached: Result, forward: float, tokens: int) -> None:
    """How near forward passes are to plain matrix products, and scores and masks to a copy of as many bytes."""
    matrix = torch.ones(SQUARE, SQUARE, dtype=target.dtype)
    best = min(timed(lambda: matrix @ matrix) for _ in range(5))
    console.print(
        f"forward passes: {2 * target.weights * tokens / forward / 1e9:.0f} GFLOP/s in the blocks' matrices; "
        f"a product of two {SQUARE} x {SQUARE} matrices: {2 * SQUARE**3 / best / 1e9:.0f} GFLOP/s"
    )
    block = torch.ones(1 << 26)
    out = torch.empty_like(block)
    rate = 2 * block.nbytes / min(timed(lambda: out.copy_(block)) for _ in range(5))
    ideal = BYTES_PER_WEIGHT * target.weights / rate
    share = cached.seconds / (forward * 4096 / tokens)
    console.print(
        f"scores and masks: {cached.seconds:.2f} s for {target.weights / 1e6:.0f} million weights, "
        f"{share:.1%} of one forward pass over 4,096 tokens ({forward * 4096 / tokens:.2f} s); "
        f"moving the bytes alone would take {ideal:.3f} s at {rate / 1e9:.0f} GB/s, "
        f"{cached.seconds / ideal:.0f} times less"
    )


def ratios(console: Console, ours: dict[str, Result], cached: Result, peers: dict[str, Result]) -> None:
    wanda, sparsegpt = peers["wanda"], peers["sparsegpt"]
    console.print("ours / llm-compressor (at most):")
    for label, mine, other, limit in (
        ("wanda, dense statistics", ours["wanda, dense statistics"], wanda, 1 / 3),
        ("wanda, cached statistics", cached, wanda, 1 / 20),
        ("sparsegpt, sequential", ours["sparsegpt, sequential"], sparsegpt, 1 / 2),
    ):
        verdict(console, f"{label}, time", mine.seconds / other.seconds, limit)
    for label, other in (
        ("wanda, dense statistics", wanda),
        ("wanda, sequential", wanda),
        ("sparsegpt, sequential", sparsegpt),
    ):
        verdict(console, f"{label}, perplexity", ours[label].perplexity / other.perplexity, 1.01)


def verdict(console: Console, label: str, value: float, limit: float) -> None:
    console.print(f"  {label:36} {value:6.3f}  ({limit:.3f})  {'holds' if value <= limit else 'MISSED'}")


def directory(model: str) -> Path:
    return gguf_target(model) if is_gguf_target(model) else Path(model)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a built-in name or a directory")
    parser.add_argument("--sparsity", type=float, default=0.6)
    parser.add_argument("--samples", type=int, default=16, help="calibration sequences")
    parser.add_argument("--seqlen", type=int, default=512)
    parser.add_argument("--windows", type=int, default=16, help="report windows")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of both sides")
    parser.add_argument("--peer-python", type=Path, help="an interpreter that has llm-compressor")
    parser.add_argument("--peer-plain", action="store_true", help='its Wanda with ignore: ["lm_head"] too')
    return parser.parse_args()


if __name__ == "__main__":
    main()
