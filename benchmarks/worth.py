"""What is pruning worth? Bytes, perplexity and speed of dense, quantised and pruned models, in two runtimes.

    python benchmarks/worth.py [DIR ...] [--model MODEL] [--sparsity 0.5] [--work DIR] [--json FILE]
                               [--prompt 512] [--decode 64] [--repeats 3] [--quantise f16,q8_0,q4_0]

Rows are the dense MODEL, MODEL pruned without structure (`autoprune prune`, and its packed file), and every DIR, for
example of `autoprune prune --structure`: each as it is in transformers, and exported to llama.cpp in each quantisation.
Perplexity is that of the check of `autoprune export`, on 254 tokens of the built-in report text; one on more text is
`autoprune evaluate`'s. Speeds are medians in tokens per second of one sequence, of prefill over --prompt tokens and of
decoding --decode tokens; models take turns, and the ratios are to the dense model in the same runtime and format, so
that a busy machine slows both. What exists in --work is not made again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from autoprune.exporting.llama_cpp import LlamaCpp
from autoprune.exporting.reference import measure
from autoprune.models.loading import load_model, model_bytes

DENSE, PRUNED = "dense", "unstructured"
TRANSFORMERS, PACKED = "transformers", "packed"


@dataclass
class Row:
    """A model in a format. Speeds are tokens per second, one for every repeat."""

    model: str
    format: str
    path: str
    bytes: int
    perplexity: float | None = None
    prefill: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)


def autoprune(*words: str) -> Any:
    """What a command prints as JSON. Its log lines are shown."""
    command = [sys.executable, "-m", "autoprune", *words, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Make what is missing, and a row for each, without speeds."""
    work: Path = arguments.work
    pruned, packed = work / PRUNED, work / f"{PRUNED}.packed"
    if not pruned.exists():
        words = ("--model", arguments.model, "--sparsity", str(arguments.sparsity), "--packed", str(packed))
        autoprune("prune", *words, "--out", str(pruned), "--completions", "0")
    models = {DENSE: arguments.model, PRUNED: str(pruned), **{Path(given).name: given for given in arguments.models}}
    for name, model in models.items():
        yield Row(name, TRANSFORMERS, model, model_bytes(model), measure(model).perplexity)
        if name == PRUNED and packed.exists():
            yield Row(name, PACKED, str(packed), packed.stat().st_size)
        for quantisation in arguments.quantise.split(","):
            yield exported(name, model, quantisation, work)


def exported(name: str, model: str, quantisation: str, work: Path) -> Row:
    """The row of a GGUF file; its perplexity is kept beside it. A large --tolerance, since costs are what is asked."""
    file = work / f"{name}-{quantisation}.gguf"
    facts = file.with_suffix(".json")
    if not (file.exists() and facts.exists()):
        file.unlink(missing_ok=True)
        made = autoprune("export", model, "--quantise", quantisation, "--out", str(file), "--tolerance", "10")
        facts.write_text(json.dumps(made), encoding="utf-8")
    check = json.loads(facts.read_text(encoding="utf-8"))["check"]
    return Row(name, quantisation, str(file), file.stat().st_size, check and check["perplexity"])


def take_speed(row: Row, prompt: list[int], decode: int) -> None:
    """Add a repeat to the row's speeds."""
    if row.format == TRANSFORMERS:
        prefill, decoding = in_transformers(row.path, prompt, decode)
    else:
        with LlamaCpp(Path(row.path), len(prompt) + decode + 8) as runtime:
            runtime.speed(prompt[:16], 4)  # the first request is slower
            prefill, decoding = runtime.speed(prompt, decode)
    row.prefill.append(prefill)
    row.decode.append(decoding)


@torch.inference_mode()
def in_transformers(path: str, prompt: list[int], decode: int) -> tuple[float, float]:
    """The same in the dtype of the files, on the CPU."""
    loaded, _ = load_model(path, "auto")
    model: Any = loaded
    tokens = torch.tensor([prompt])
    model(tokens[:, :16])
    started = time.perf_counter()
    output = model(tokens, use_cache=True)
    prefill = len(prompt) / (time.perf_counter() - started)
    started = time.perf_counter()
    for _ in range(decode):
        following = output.logits[:, -1:].argmax(-1)
        output = model(following, past_key_values=output.past_key_values, use_cache=True)
    return prefill, decode / (time.perf_counter() - started)


def show(measured: list[Row], repeats: int) -> None:
    dense = {row.format: row for row in measured if row.model == DENSE}
    print(f"{'model':<20} {'format':<13} {'MB':>9} {'perplexity':>11} {'prefill':>16} {'decode':>16}   (tokens/s)")
    for row in measured:
        perplexity = f"{row.perplexity:.3f}" if row.perplexity is not None else ""
        speeds = [
            f"{statistics.median(own):,.0f} ({statistics.median(own) / statistics.median(base):.2f} x)" if own else ""
            for own, base in (
                (row.prefill, dense[row.format].prefill if row.format in dense else []),
                (row.decode, dense[row.format].decode if row.format in dense else []),
            )
        ]
        facts = f"{row.model:<20} {row.format:<13} {row.bytes / 1e6:>9,.1f} {perplexity:>11}"
        print(f"{facts} {speeds[0]:>16} {speeds[1]:>16}")
    print(f"medians of {repeats}; in parentheses: times the dense model's speed in the same runtime and format")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="DIR")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--work", type=Path, default=Path("runs/worth"))
    parser.add_argument("--quantise", default="f16,q8_0,q4_0")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    measured = list(rows(arguments))
    windows = measure(arguments.model).windows
    prompt = [token for window in windows for token in window]
    prompt = (prompt * (arguments.prompt // len(prompt) + 1))[: arguments.prompt]
    for _ in range(arguments.repeats):
        for row in measured:
            if row.format != PACKED:
                take_speed(row, prompt, arguments.decode)
    show(measured, arguments.repeats)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in measured], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
