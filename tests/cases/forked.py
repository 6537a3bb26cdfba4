"""A program of `public/` in a fork of a process that has imported what they all import."""

import os
import runpy
import sys
import tempfile
from pathlib import Path

PRELOADED = [
    *("torch", "tokenizers", "datasets", "autoprune.models.statistics", "autoprune.models.target"),
    *("transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto"),
    "transformers.models.llama.modeling_llama",
]


def run_program(program: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """Be what a new process would be, then run it; what it prints is in the files."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # was asked for already, in another environment
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = [str(program)]
    sys.path.insert(0, str(program.parent))
    runpy.run_path(str(program), run_name="__main__")
