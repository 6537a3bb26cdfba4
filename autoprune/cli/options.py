"""Options that `compare`, `prune` and `evaluate` share, and the settings that they stand for."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from autoprune.cli import complete
from autoprune.cli.parse import KINDS, listed, settings
from autoprune.config import Config, load_config
from autoprune.config_sections import SandboxSettings
from autoprune.config_values import BosSetting, Dtype, SandboxEngine
from autoprune.config_values import Offload as OffloadSetting
from autoprune.models.gguf_files import KNOWN
from autoprune.pruning.fields import UNITS

MODEL = f"A directory, a hub id, a GGUF file, or a built-in name ({', '.join(KNOWN)})."
DATABASE = "A PostgreSQL database for archive and checkpoints, instead of SQLite files in the run (extra postgres)."
SANDBOXES: tuple[str, ...] = get_args(SandboxEngine)
BOS: tuple[str, ...] = get_args(BosSetting)
DTYPES: tuple[str, ...] = get_args(Dtype)
OFFLOADS: tuple[str, ...] = get_args(OffloadSetting)
TEXT = "builtin, wikitext2, c4, hf:NAME, a file of text or of rows (.jsonl, .parquet, .csv)."

Run = Annotated[Path, typer.Argument(help="A run's directory or name.", autocompletion=complete.runs)]
Model = Annotated[str, typer.Option(help=MODEL, autocompletion=complete.of(*KNOWN))]
Unit = Annotated[
    str,
    typer.Option(
        help=f"What gets its own sparsity: {listed(UNITS)}.",
        autocompletion=complete.of(*UNITS),
    ),
]
Data = Annotated[str, typer.Option(help=f"Measured on: {TEXT}", autocompletion=complete.of(*complete.TEXTS))]
Calibration = Annotated[
    str, typer.Option(help="Calibration text, the same choices.", autocompletion=complete.of(*complete.TEXTS))
]
CalibrationSamples = Annotated[int, typer.Option(help="Calibration sequences.")]
Seqlen = Annotated[int, typer.Option(help="Length of windows and sequences in tokens.")]
Windows = Annotated[int, typer.Option(help="Windows of the report split that are measured.")]
Statistics = Annotated[
    str,
    typer.Option(help="dense or sequential (behind the pruned prefix).", autocompletion=complete.of(*KINDS)),
]
Bos = Annotated[
    str,
    typer.Option(
        help="The tokenizer's BOS before every window: auto (where the model needs it), always, never.",
        autocompletion=complete.of(*BOS),
    ),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda or cuda:N.", autocompletion=complete.of("auto", "cpu", "cuda"))
]
Offload = Annotated[
    str,
    typer.Option(
        help=f"Where decoder blocks live: {listed(OFFLOADS)}; none: on the device.",
        autocompletion=complete.of(*OFFLOADS),
    ),
]
ComputeDtype = Annotated[str, typer.Option(help=f"{listed(DTYPES)}.", autocompletion=complete.of(*DTYPES))]
Sandbox = Annotated[
    str,
    typer.Option(help=f"For candidates: {listed(SANDBOXES)}.", autocompletion=complete.of(*SANDBOXES)),
]
SandboxSeconds = Annotated[
    float, typer.Option(min=1.0, help="Seconds that a candidate may compute; a large model needs more.")
]
SANDBOX_SECONDS = SandboxSettings().seconds


def experiment_config(
    *,
    model: str,
    data: str,
    calibration: str,
    calibration_samples: int,
    seqlen: int,
    windows: int,
    bos: str,
    unit: str,
    device: str,
    dtype: str,
    offload: str,
    sandbox: str,
    sandbox_seconds: float,
) -> Config:
    """The settings tree for pruning without a search. Raises UsageError for a value that does not fit."""
    values = {
        "model": model,
        "data.source": data,
        "data.calibration": calibration,
        "data.calibration_samples": calibration_samples,
        "data.seqlen": seqlen,
        "data.report_windows": windows,
        "data.search_windows": min(windows, Config().data.search_windows),
        "data.bos": bos,
        "allocation.unit": unit,
        "device": device,
        "dtype": dtype,
        "offload": offload,
        "sandbox.engine": sandbox,
        "sandbox.seconds": sandbox_seconds,
    }
    return load_config(None, settings(values))
