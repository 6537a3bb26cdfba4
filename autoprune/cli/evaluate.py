"""`autoprune evaluate`."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import BOS, MODEL, Bos, ComputeDtype, Data, Device, Offload
from autoprune.cli.parse import choice
from autoprune.log import log_to
from autoprune.models.gguf_files import KNOWN
from autoprune.report.text import plain, windows_of_text


@log_to(say)
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL, autocompletion=complete.of(*KNOWN))],
    data: Data = "builtin",
    seqlen: Annotated[int, typer.Option(min=8, help="Window length in tokens.")] = 512,
    windows: Annotated[int | None, typer.Option(min=1, help="Number of windows; default: the whole text.")] = None,
    bos: Bos = "auto",
    tasks: Annotated[str | None, typer.Option(help="lm-eval tasks or YAML files, separated by commas.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items per task; default: all.")] = None,
    device: Device = "auto",
    dtype: ComputeDtype = "auto",
    offload: Offload = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the measurement as JSON.")] = False,
) -> None:
    """Measure a model: perplexity on a text, zeros in its linear layers, zero-shot tasks."""
    from autoprune.evaluation.evaluate import evaluate as measure

    names = [task.strip() for task in (tasks or "").split(",") if task.strip()]
    measured = measure(model, data, seqlen, windows, names, device, dtype, limit, offload, choice(bos, BOS, "bos"))
    if as_json:
        print_json(asdict(measured))
        return
    screen = console()
    screen.print(plain(f"{measured.model} ({measured.dtype}, {measured.fingerprint})"))
    windows_shown = windows_of_text(measured.windows, measured.seqlen, measured.bos)
    text = f"{measured.data}, {measured.split} split, {windows_shown}"
    screen.print(plain(f"perplexity  {measured.perplexity:.3f}  ({text})"), soft_wrap=True)
    screen.print(plain(f"zeros       {measured.zeros:,} of {measured.weights:,} ({measured.sparsity:.2%})"))
    if measured.tasks:
        table = Table(box=None, padding=(0, 2))
        for name in ("task", "metric", "value", "stderr", "items"):
            table.add_column(name, justify="left" if name in ("task", "metric") else "right")
        for row in measured.tasks:
            stderr = f"{row['stderr']:.4f}" if row["stderr"] is not None else ""
            table.add_row(plain(row["task"]), plain(row["metric"]), f"{row['value']:.4f}", stderr, str(row["samples"]))
        screen.print(table)
