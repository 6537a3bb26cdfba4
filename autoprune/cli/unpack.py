"""`autoprune unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json
from autoprune.report.text import plain


def unpack(
    file: Annotated[Path, typer.Argument(help="A file written by `autoprune prune --packed`.")],
    out: Annotated[Path, typer.Option(help="The model directory to write; it must not exist.")],
    max_gb: Annotated[
        float | None, typer.Option(min=0, help="Maximum size in GB; default: what a pruned model can hold.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sizes as JSON.")] = False,
) -> None:
    """Restore a model directory from a packed file, bit for bit."""
    from autoprune.models.packed import unpack as restore

    sizes = restore(file, out, max_gb)
    if as_json:
        print_json({"out": str(out), "bytes": sizes.directory, "packed_bytes": sizes.packed})
    else:
        share = sizes.packed / sizes.directory
        packed, whole = f"{sizes.packed / 1e6:,.1f} MB", f"{sizes.directory / 1e6:,.1f} MB"
        console().print(plain(f"{out}: {whole}, from {packed} ({share:.0%})"), soft_wrap=True)
