"""`autoprune report`."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.options import Run
from autoprune.cli.run_data import placed_candidates, reasoning_graph, spending_by_slot
from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError
from autoprune.report.text import plain
from autoprune.runs.directory import RunDirectory
from autoprune.runs.files import write_atomically

NAME = "report.html"


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
    path = out or directory.path / NAME
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size})
    else:
        console().print(plain(f"{path}: {size / 1e6:.1f} MB"), soft_wrap=True)


def write_report(run: RunDirectory, out: Path | None = None, config: Config | None = None) -> None:
    """Write the report to `out`, or into the run. `config`: settings with the database's password.

    Raises AutoPruneError if it cannot be written.
    """
    from autoprune.report.html.document import report as drawn
    from autoprune.report.html.material import Material
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts

    with reading_facts(run), closing(Archive.of(run, config)) as archive:
        graph, placed = reasoning_graph(run, archive), placed_candidates(run, archive)
        page = drawn(Material.read(run, archive, graph, placed, spending_by_slot(archive)))
    try:
        if out is None:
            write_atomically(run.path / NAME, page)
        else:
            out.write_text(page, encoding="utf-8", newline="")
    except OSError as error:
        raise AutoPruneError(f"cannot write {out or run.path / NAME}: {error.strerror}") from None
