"""`autoprune trace`: a run, or one candidate of it, as it went."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoprune.cli.common import console, print_json
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events

if TYPE_CHECKING:
    from autoprune.runs.archive import Archive


def trace(
    run: Annotated[Path, typer.Argument(help="A run's directory or name.")],
    candidate: Annotated[str | None, typer.Argument(help="A slot (g2.c1) or the start of a candidate's hash.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the trace to this HTML file too.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the trace to this SVG file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the events as JSON.")] = False,
) -> None:
    """Show who said what, the chain of thought behind each candidate, its code, and what was measured."""
    from autoprune.report.trace import candidate_trace, run_trace
    from autoprune.runs.archive import Archive

    directory = RunDirectory.open(run)
    events = list(read_events(directory.events_file))
    archive = Archive(directory.archive_file)
    try:
        slot = _slot(archive, candidate) if candidate else None
        if as_json:
            chosen = [event for event in events if slot is None or event.data.get("slot") == slot]
            print_json([event.model_dump() for event in chosen])
            return
        drawn = candidate_trace(directory, archive, events, slot) if slot else run_trace(archive, events)
        screen = console()
        screen.record = html is not None or svg is not None
        screen.print(drawn)
        if html is not None:
            html.write_text(screen.export_html(clear=False), encoding="utf-8")
        if svg is not None:
            svg.write_text(screen.export_svg(title=f"autoprune trace {directory.name}"), encoding="utf-8")
    finally:
        archive.close()


def _slot(archive: "Archive", wanted: str) -> str:
    """The slot that a user means by a slot's name or the start of a content hash."""
    for proposal in archive.proposals():
        if proposal.slot == wanted or (proposal.candidate or "").startswith(wanted):
            return proposal.slot
    known = ", ".join(dict.fromkeys(proposal.slot for proposal in archive.proposals())) or "none"
    raise UsageError(f"there is no candidate {wanted!r} in this run; its slots are: {known}")
