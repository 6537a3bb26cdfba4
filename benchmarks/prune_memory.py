"""Peak memory of a whole `autoprune prune` process, from its start to its end.

    python benchmarks/prune_memory.py [--every 0.01] -- --model smollm2-135m --sparsity 0.6 --dtype float32

What follows `--` goes to `autoprune prune`; `--out` is a temporary directory. Linux only: the process is looked at
every few milliseconds, so that shorter peaks may be missed. Anonymous memory is what a machine must have; pages that
are mapped from files (libraries, cached statistics) the kernel drops when it needs room. Perplexity, which `prune`
measures before and after, holds logits: pruning alone is measured by scaling.py.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from safetensors import safe_open

KINDS = {"anonymous": "RssAnon", "mapped from files": "RssFile"}
LIBRARIES = """
import time
import autoprune.evaluation.export, autoprune.measuring.algorithms, transformers.models.llama.modeling_llama
from transformers import AutoModelForCausalLM, AutoTokenizer
time.sleep(1)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=0.01, help="seconds between two looks")
    parser.add_argument("options", nargs="*", help="of autoprune prune, behind --")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "pruned")
        command = [sys.executable, "-m", "autoprune", "prune", *arguments.options, "--out", str(out)]
        peaks = watched(command, arguments.every)
        model = sum(bytes_in(file) for file in out.glob("*.safetensors"))
    idle = watched([sys.executable, "-c", LIBRARIES], arguments.every)
    console.print(f"model {model / 1e6:,.0f} MB")
    for kind, peak in peaks.items():
        console.print(f"{kind:18} peak {peak / 1e6:6,.0f} MB, of which libraries {idle[kind] / 1e6:,.0f} MB")
    beyond = peaks["anonymous"] - idle["anonymous"] - model
    console.print(f"anonymous, beyond model and libraries: {beyond / 1e6:,.0f} MB, {beyond / model:.0%} of the model")


def watched(command: list[str], every: float) -> dict[str, int]:
    """The highest of each kind of memory that a process held, in bytes."""
    peaks = dict.fromkeys(KINDS, 0)
    with subprocess.Popen(command) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            now = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
            for kind, name in KINDS.items():
                if name in now:
                    peaks[kind] = max(peaks[kind], 1024 * int(now[name].split()[0]))
            time.sleep(every)
    if process.returncode:
        raise SystemExit(process.returncode)
    return peaks


def bytes_in(file: Path) -> int:
    """Bytes of the tensors in a safetensors file."""
    with safe_open(file, framework="pt") as opened:
        return sum(opened.get_tensor(name).nbytes for name in opened.keys())  # noqa: SIM118


if __name__ == "__main__":
    main()
