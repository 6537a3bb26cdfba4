"""How time and peak memory of pruning (Wanda, dense statistics, in place) grow with the model and the calibration text.

    python benchmarks/scaling.py

Llama models of four sizes with random weights, each measurement in a process of its own. Peak memory is what the
process needed while pruning beyond what it held with the model loaded, as a share of the model; the hidden states of
the calibration text, which grow with the text and not with the model, are a part of it and shown beside it. Linux only.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.prune import Method, prune_blocks
from autoprune.models.observed import Observed
from autoprune.models.target import Target
from autoprune.pruning.layers import LayerInfo

SIZES = ((640, 9), (832, 12), (1024, 18), (1280, 24))
"""Hidden size and number of decoder blocks."""

SAMPLES = (8, 16, 32, 64)
SEQLEN = 512
SPARSITY = 0.6
STATUS = Path("/proc/self/status")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, type=int, metavar=("HIDDEN", "BLOCKS", "SAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    console = Console()
    by_size = [in_a_process(console, hidden, blocks, SAMPLES[1]) for hidden, blocks in SIZES]
    by_text = [in_a_process(console, *SIZES[1], samples) for samples in SAMPLES]
    console.print(table(f"model size, calibration {SAMPLES[1]} x {SEQLEN} tokens", by_size))
    console.print(table("calibration size", by_text))
    for name, rows in (("weights", by_size), ("tokens", by_text)):
        for phase in ("statistics", "score_and_mask", "total"):
            if (name, phase) != ("tokens", "score_and_mask"):
                exponent = growth([row[name] for row in rows], [row[phase] for row in rows])
                console.print(f"time for {phase.replace('_', ' ')} ~ {name}^{exponent:.2f}")


def measure(hidden: int, blocks: int, samples: int) -> dict[str, float]:
    """Seconds by phase, and bytes: the model, and the most that pruning needed besides."""
    torch.manual_seed(0)
    # Libraries and thread pools wake up before memory and time are looked at.
    pruned(llama(64, 2), torch.randint(1024, (1, SEQLEN)))
    target = llama(hidden, blocks)
    tokens = torch.randint(1024, (samples, SEQLEN))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = status("VmRSS")
    spent = pruned(target, tokens)
    return {
        "weights": target.weights,
        "tokens": tokens.numel(),
        "statistics": spent["statistics"],
        "score_and_mask": spent["score"] + spent["mask"],
        "total": sum(spent.values()),
        "model_bytes": sum(parameter.nbytes for parameter in target.model.parameters()),
        "hidden_bytes": tokens.numel() * hidden * target.dtype.itemsize,
        "extra_bytes": max(status("VmHWM") - before, 0),
    }


def llama(hidden: int, blocks: int) -> Target:
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=blocks,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        tie_word_embeddings=True,
    )
    return Target(LlamaForCausalLM(config), None, "synthetic")


def pruned(target: Target, tokens: torch.Tensor) -> dict[str, float]:
    """Seconds by phase."""
    return prune_blocks(
        target,
        tokens,
        Method(),
        uniformly,
        Published.named("wanda").open,
        target.for_good,
        sequential=False,
    ).reported()


def uniformly(layers: Sequence[LayerInfo], seen: Observed) -> tuple[dict[str, int], dict[str, float]]:
    return {layer.name: round(SPARSITY * layer.size) for layer in layers}, {layer.name: SPARSITY for layer in layers}


def status(name: str) -> int:
    """A figure of this process in bytes: VmRSS now, or VmHWM, its highest since it was cleared."""
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])


def in_a_process(console: Console, hidden: int, blocks: int, samples: int) -> dict[str, float]:
    with console.status(f"hidden size {hidden}, {blocks} blocks, {samples} samples"):
        command = [sys.executable, __file__, "--one", str(hidden), str(blocks), str(samples)]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, float] = json.loads(finished.stdout.strip().splitlines()[-1])
    return row


def growth(sizes: list[float], seconds: list[float]) -> float:
    """The exponent e of seconds ~ sizes^e, by least squares over the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def table(title: str, rows: list[dict[str, float]]) -> Table:
    made = Table(title=title, box=None)
    for name in ("weights", "tokens", "statistics s", "score+mask s", "model MB", "extra MB", "extra", "hidden states"):
        made.add_column(name, justify="right")
    for row in rows:
        made.add_row(
            f"{row['weights'] / 1e6:.1f} M",
            f"{row['tokens']:.0f}",
            f"{row['statistics']:.2f}",
            f"{row['score_and_mask']:.3f}",
            f"{row['model_bytes'] / 1e6:.0f}",
            f"{row['extra_bytes'] / 1e6:.0f}",
            f"{row['extra_bytes'] / row['model_bytes']:.1%}",
            f"{row['hidden_bytes'] / row['model_bytes']:.1%}",
        )
    return made


if __name__ == "__main__":
    main()
