"""Options that several commands share, and the settings that they set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from autoprune.cli import complete
from autoprune.cli.parse import KINDS, listed
from autoprune.config import Config, load_config
from autoprune.config_sections import SandboxSettings
from autoprune.config_values import BosSetting, Dtype, SandboxEngine
from autoprune.config_values import Offload as OffloadSetting
from autoprune.keywords import EXPERIMENT, SEARCH, assignments, labels
from autoprune.models.gguf_files import KNOWN
from autoprune.pruning.fields import UNITS

MODEL = f"A directory, a Hub id, a GGUF file, or a built-in name ({', '.join(KNOWN)})."
DATABASE = "PostgreSQL database for archive and checkpoints, instead of SQLite files in the run (extra postgres)."
SANDBOXES: tuple[str, ...] = get_args(SandboxEngine)
BOS: tuple[str, ...] = get_args(BosSetting)
DTYPES: tuple[str, ...] = get_args(Dtype)
OFFLOADS: tuple[str, ...] = get_args(OffloadSetting)
TEXT = "builtin, wikitext2, c4, hf:NAME, or a file of text or rows (.jsonl, .parquet, .csv)."

Run = Annotated[Path, typer.Argument(help="A run's directory or name.", autocompletion=complete.runs)]
Candidate = Annotated[
    str,
    typer.Argument(
        metavar="RUN:CANDIDATE",
        help="CANDIDATE: a slot (g2.c1), a prefix of a hash, or best.",
        autocompletion=complete.best_of_runs,
    ),
]
Model = Annotated[str, complete.option(MODEL, *KNOWN)]
Unit = Annotated[str, complete.option(f"Unit of the allocation: {listed(UNITS)}.", *UNITS)]
Data = Annotated[str, complete.option(f"Evaluation text: {TEXT}", *complete.TEXTS)]
Calibration = Annotated[str, complete.option("Calibration text, the same choices.", *complete.TEXTS)]
CalibrationSamples = Annotated[int, typer.Option(help="Calibration sequences.")]
Seqlen = Annotated[int, typer.Option(help="Length of windows and sequences in tokens.")]
Windows = Annotated[int, typer.Option(help="Windows of the report split to measure.")]
Statistics = Annotated[str, complete.option("dense, or sequential (behind the pruned blocks).", *KINDS)]
Bos = Annotated[
    str,
    complete.option("BOS token before every window: auto (if the model needs it), always or never.", *BOS),
]
Device = Annotated[str, complete.option("auto, cpu, cuda or cuda:N.", "auto", "cpu", "cuda")]
Offload = Annotated[
    str, complete.option(f"Location of decoder blocks: {listed(OFFLOADS)}; none: on the device.", *OFFLOADS)
]
ComputeDtype = Annotated[str, complete.option(f"{listed(DTYPES)}.", *DTYPES)]
Sandbox = Annotated[str, complete.option(f"Sandbox of candidates: {listed(SANDBOXES)}.", *SANDBOXES)]
SandboxSeconds = Annotated[
    float, typer.Option(min=1.0, help="Time limit of a candidate in seconds; a large model needs more.")
]
SandboxMemory = Annotated[
    int, typer.Option(min=1, metavar="MIB", help="Memory limit of a candidate; a large matrix needs more.")
]
SANDBOX_SECONDS = SandboxSettings().seconds
SANDBOX_MEMORY = SandboxSettings().memory_mb


def experiment_config(options: Mapping[str, Any]) -> Config:
    """The settings for pruning without a search, from a command's options. Raises UsageError for an invalid value."""
    values = {key: options[name] for name, key in EXPERIMENT.items()}
    values["data.search_windows"] = min(options["windows"], Config().data.search_windows)
    return load_config(None, assignments(values), typed=labels(EXPERIMENT, EXPERIMENT, option=True))


def overrides(options: Mapping[str, Any]) -> list[str]:
    """The `key=value` words of the given options of a command about a search."""
    given = {name: value for name, value in options.items() if name in SEARCH and value is not None}
    return [f"{SEARCH[name]}={value}" for name, value in given.items()]


def typed(options: Mapping[str, Any]) -> dict[str, str]:
    """Setting -> the option of a command about a search that was given for it."""
    return labels(SEARCH, [name for name, value in options.items() if value is not None], option=True)
