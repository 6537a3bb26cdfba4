"""Bare forward passes of a text, by transformers alone in a process of its own: candidate_throughput.py's yardstick.

    python benchmarks/bare_forward.py MODEL DTYPE DEVICE WINDOWS

WINDOWS is a safetensors file with int64 `tokens` [windows, seqlen]. Nothing of this package takes part, but for finding
a built-in model's directory. Prints the seconds of one pass over all windows, loss included, of the fastest way: one,
two or four windows at a time.
"""

import sys
import time

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from autoprune.log import log_to
from autoprune.models.gguf_target import gguf_target, is_gguf_target


@torch.inference_mode()
def one_pass(model: nn.Module, windows: Tensor, batch: int) -> float:
    """Seconds."""
    started = time.perf_counter()
    for tokens in windows.split(batch):
        logits = model(tokens, use_cache=False).logits
        functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten()).item()
    return time.perf_counter() - started


@log_to(print)
def main() -> None:
    disable_progress_bar()
    name, dtype, device, file = sys.argv[1:]
    where = str(gguf_target(name)) if is_gguf_target(name) else name
    model = AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, dtype)).to(device).eval()
    windows = load_file(file)["tokens"].to(device)
    one_pass(model, windows[:2], 1)  # the first pass after loading is slower
    print(min(one_pass(model, windows, batch) for batch in (1, 2, 4)))


if __name__ == "__main__":
    main()
