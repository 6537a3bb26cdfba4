"""`autoprune trace`: shows a run, a generation or one candidate, live or afterwards, or the reasoning graph."""

import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autoprune.api.run_data import placed_candidates, reasoning_graph, spending_by_slot
from autoprune.cli import complete
from autoprune.cli.common import console, print_json
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.options import Run
from autoprune.cli.pager import show_paged
from autoprune.errors import AutoPruneError, UsageError
from autoprune.report.text import plain
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, follow_events, read_events
from autoprune.runs.names import generation_id, generation_of, node_id

if TYPE_CHECKING:
    from networkx import MultiDiGraph
    from rich.console import RenderableType

    from autoprune.runs.archive import Archive

GraphFormat = Literal["tree", "json", "graphml", "mermaid"]


def trace(
    run: Run,
    part: Annotated[
        str | None,
        typer.Argument(
            metavar="[PART]",
            help="A generation (g2), a slot (g2.c1), a prefix of a hash, or best.",
            autocompletion=complete.parts,
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Print events until the run ends.")] = False,
    graph: Annotated[GraphFormat | None, typer.Option(help="Print only the reasoning graph, in this format.")] = None,
    quality_map: Annotated[
        bool, typer.Option("--map", help="Print only the best candidate of each kind and the Pareto front.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="For one candidate: all code and reasoning.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the graph to this file instead of printing it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the trace to this HTML file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Also write the trace to this SVG file.")] = None,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send the run as spans to this OpenTelemetry collector (extra otel)."),
    ] = None,
    trust: Trust = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the events (with --map: map and front) as JSON.")
    ] = False,
) -> None:
    """Show chain of thought, code, reviews, measurements and cost of each candidate."""
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts

    directory = open_run(run, trust)
    if quality_map and any((part, graph, follow, otlp)):
        raise UsageError("--map shows the whole run; it cannot be combined with PART, --graph, --follow or --otlp")
    if out is not None and graph is None:
        raise UsageError("--out needs --graph json, graphml, mermaid or tree")
    if follow and any((part, graph, html, svg, as_json)):
        raise UsageError("--follow prints the whole run; it can only be combined with --otlp")
    if otlp is not None and any((part, graph, html, svg, as_json)):
        raise UsageError("--otlp sends the whole run; it can only be combined with --follow")
    if whole and (part is None or graph or as_json):
        raise UsageError("--whole needs one candidate: a slot, a prefix of a hash, or best")
    if otlp is not None:
        with reading_facts(directory):
            _send(directory, otlp, follow)
        return
    if follow:
        with reading_facts(directory):
            for event in follow_events(directory.events_file):
                _print_event(event)
        return
    announce(directory, directory.settings()[0])
    with reading_facts(directory), closing(Archive.of(directory)) as archive:
        generation, slot = _part(archive, part)
        if whole and slot is None:
            raise UsageError(f"--whole needs one candidate, but {part} is a generation")
        events = list(read_events(directory.events_file))
        if quality_map:
            _map(directory, archive, as_json, html, svg)
        elif as_json:
            print_json([event.model_dump() for event in events if _about(event, generation, slot)])
        elif graph in ("json", "graphml", "mermaid"):
            _give(_formatted(_graph(directory, archive, generation, slot), graph), out)
        else:
            drawn = _drawn(directory, archive, events, generation, slot, bool(graph), whole)
            title = f"autoprune trace {directory.name} {part or ''}".rstrip()
            _show(drawn, title, html, svg, out, paged=slot is not None and not (html or svg))


def _print_event(event: Event) -> None:
    """Print an event as the search itself does."""
    from autoprune.report.live import describe

    line = describe(event)
    if line is not None:
        console().print(plain(f"{event.time[11:19]} ", "dim") + line, soft_wrap=True)


def _send(directory: RunDirectory, url: str, follow: bool) -> None:
    """Send the run as spans: all at once, or with `follow` each when it ends."""
    from autoprune.report.otlp import Collector
    from autoprune.report.spans import Spans

    spans = Spans(directory.name)
    with closing(Collector(url)) as collector:
        if follow:
            for event in follow_events(directory.events_file):
                _print_event(event)
                collector.send(spans.identity, spans.take(event))
        else:
            ended = [span for event in read_events(directory.events_file) for span in spans.take(event)]
            collector.send(spans.identity, ended)
        collector.send(spans.identity, spans.rest())
        console().print(plain(f"{collector.sent} spans sent to {collector.url}"), soft_wrap=True)


def _map(directory: RunDirectory, archive: "Archive", as_json: bool, html: Path | None, svg: Path | None) -> None:
    from rich.console import Group

    from autoprune.report.quality import quality
    from autoprune.runs.quality import as_data

    placed = placed_candidates(directory, archive)
    if as_json:
        print_json(as_data(placed))
        return
    drawn = quality(placed) or [plain("no candidate of this run has been measured yet")]
    _show(Group(*drawn), f"autoprune trace {directory.name} --map", html, svg, None)


def _drawn(
    directory: RunDirectory,
    archive: "Archive",
    events: list[Event],
    generation: int | None,
    slot: str | None,
    as_tree: bool,
    in_full: bool,
) -> "RenderableType":
    from autoprune.report.candidate import Spending, candidate_trace
    from autoprune.report.reasoning import reasoning_tree
    from autoprune.report.trace import run_trace

    if as_tree:
        return reasoning_tree(_graph(directory, archive, generation, slot))
    spending, thoughts = spending_by_slot(archive), _graph(directory, archive)
    if slot is not None:
        return candidate_trace(directory, archive, events, thoughts, slot, spending.get(slot, Spending()), in_full)
    return run_trace(archive, events, thoughts, spending, generation, placed_candidates(directory, archive))


def _graph(
    directory: RunDirectory, archive: "Archive", generation: int | None = None, slot: str | None = None
) -> "MultiDiGraph[str]":
    """The reasoning graph; for a generation up to its end, for a candidate its ancestors."""
    from autoprune.report.graph import led_to, until

    graph = reasoning_graph(directory, archive)
    if generation is not None:
        return until(graph, generation)
    if slot is None:
        return graph
    node = next((node for node in (slot, node_id(slot, "design")) if node in graph), None)
    if node is None:
        raise UsageError(f"{slot} is not in the reasoning graph yet: its generation has not been analysed")
    return led_to(graph, node)


def _formatted(graph: "MultiDiGraph[str]", wanted: str) -> str:
    from autoprune.report.graph import FORMATS

    return FORMATS[wanted](graph)


def _show(
    drawn: "RenderableType", title: str, html: Path | None, svg: Path | None, out: Path | None, paged: bool = False
) -> None:
    """Print to the screen, and write files with the width of a page."""
    from autoprune.report.page import Page

    if out is None and paged:
        show_paged(console(), drawn)
    elif out is None:
        console().print(drawn)
    page = Page(drawn)
    if html is not None:
        _give(page.html(title), html)
    if svg is not None:
        _give(page.svg(title), svg)
    if out is not None:
        _give(page.text(), out)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text.rstrip("\n") + "\n")
        return
    try:
        out.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise AutoPruneError(f"cannot write {out}: {error.strerror}") from None


def _about(event: Event, generation: int | None, slot: str | None) -> bool:
    """Whether an event belongs to this slot, or to this generation; all events do if both are None."""
    owner = str(event.data.get("slot", ""))
    if slot is not None:
        return owner == slot
    return generation is None or generation_of(owner) == generation or event.data.get("generation") == generation


def _part(archive: "Archive", name: str | None) -> tuple[int | None, str | None]:
    """The generation or the slot of `g2`, `g2.c1`, the start of a content hash, or `best`."""
    if not name:
        return None, None
    from autoprune.runs.lookup import BEST, best_slot

    proposals = archive.proposals()
    if name == BEST:
        return None, best_slot(archive)
    if match := re.fullmatch(r"g(\d+)", name):
        generations = list(dict.fromkeys(proposal.generation for proposal in proposals))
        if int(match[1]) in generations:
            return int(match[1]), None
        names = ", ".join(map(generation_id, generations)) or "none"
        raise UsageError(f"there is no generation {name!r} in this run; its generations are: {names}")
    for proposal in proposals:
        if proposal.slot == name or (proposal.candidate or "").startswith(name):
            return None, proposal.slot
    slots = ", ".join(dict.fromkeys(proposal.slot for proposal in proposals)) or "none"
    raise UsageError(f"there is no candidate {name!r} in this run; its slots are: {slots}")
