"""`autoprune report`."""

from pathlib import Path
from typing import Annotated

import typer

from autoprune.api.run_data import REPORT, write_report
from autoprune.cli.common import console, print_json
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.options import Run
from autoprune.errors import UsageError
from autoprune.report.text import plain


def report(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="The HTML file to write; default: report.html in the run.")] = None,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print path and size as JSON.")] = False,
) -> None:
    """Write a run as one self-contained HTML file: curves, sparsity, reasoning graph, candidates, costs."""
    directory = open_run(run, trust)
    announce(directory, directory.settings()[0])
    if directory.schema() is None and not directory.archive_file.is_file():
        raise UsageError(f"{directory.path} has no archive yet: the search has not started")
    write_report(directory, out)
    path = out or directory.path / REPORT
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size})
    else:
        console().print(plain(f"{path}: {size / 1e6:.1f} MB"), soft_wrap=True)
