"""The trace of a run or one of its generations: proposals, results and lessons."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from autoprune.report.candidate import Spending, ending, style_of, verdict
from autoprune.report.cost import cost_line, cost_table
from autoprune.report.live import decided
from autoprune.report.picture import Picture
from autoprune.report.quality import quality
from autoprune.report.tables import final_table
from autoprune.report.text import duration, one_line, plain, visible
from autoprune.runs.archive import Archive, Outcome, Proposal
from autoprune.runs.events import Event
from autoprune.runs.names import generation_id, node_id
from autoprune.runs.quality import Placed

LONGEST = 400


def run_trace(
    archive: Archive,
    events: Sequence[Event],
    graph: "nx.MultiDiGraph[str]",
    spending: dict[str, Spending],
    generation: int | None = None,
    placed: Sequence[Placed] = (),
) -> RenderableType:
    """All generations, or one. `graph`: the reasoning graph by `GCoT.described`; `spending`: by slot; `placed`: the
    measured candidates, for map and front below all generations."""
    picture = Picture.of(events)
    root = Tree(_headline(picture))
    if picture.recorded:
        root.add(plain(picture.recorded, "yellow"))
    if generation is None:
        _add_start(root, picture)
    outcomes = {outcome.slot: outcome for outcome in archive.outcomes()}
    remarks: dict[str, list[Event]] = {}
    for event in events:
        if event.kind in ("reviewed", "decided"):
            remarks.setdefault(event.data["slot"], []).append(event)
    last = {proposal.slot: proposal for proposal in archive.proposals(generation)}
    branches: dict[int, Tree] = {}
    for slot, proposal in last.items():
        number = proposal.generation
        branch = branches.get(number) or branches.setdefault(number, root.add(Text(f"generation {number}", "bold")))
        node = _add_candidate(branch, proposal, graph, spending.get(slot, Spending()))
        for event in remarks.get(slot, []):
            node.add(_said(event))
        if slot in outcomes:
            node.add(_end(outcomes[slot], graph))
    for event in events:
        if event.kind == "lesson" and (number := event.data["generation"]) in branches:
            text = one_line(event.data["text"], 600)
            lesson = branches[number].add(plain(f"lesson ({event.data['by']}): {text}", "magenta"))
            _add_thinking(lesson, spending.get(generation_id(number), Spending()))
    if generation is not None:
        return root
    parts: list[RenderableType] = [root, *quality(placed)]
    if picture.rows:
        parts.append(final_table(picture))
    elif picture.agents:
        parts.append(cost_table(picture.agents))
    return Group(*parts)


def _headline(picture: Picture) -> Text:
    """Model, sparsity, origin of a fork (run@generation), and resources used."""
    model, sparsity = picture.started.get("model", "?"), picture.started.get("sparsity", "?")
    line = Text(f"search on {visible(model)} at sparsity {sparsity}", style="bold")
    if picture.origin:
        line.append(f"  fork of {visible(picture.origin)}", "dim")
    if picture.spent:
        tokens = f", {picture.spent['tokens']:,} tokens" if picture.spent["tokens"] else ""
        line.append(
            f"  {picture.spent['candidates']} candidates in {duration(picture.spent['seconds'])}{tokens}", "dim"
        )
    return line


def _add_start(root: Tree, picture: Picture) -> None:
    if own := picture.started.get("record", {}).get("self"):
        same = f"agents and target are the same model: {own['gguf']}, SHA-256 {own['sha256'][:16]} ({own['ground']})"
        root.add(plain(same, "dim"))
    if picture.dense is not None:
        root.add(plain(f"dense model: perplexity {picture.dense:.2f} on the search split", "dim"))
    for name, perplexity in sorted(picture.baselines.items(), key=lambda item: item[1]):
        root.add(plain(f"baseline {name}: {perplexity:.2f}", "dim"))


def _add_candidate(branch: Tree, proposal: Proposal, graph: "nx.MultiDiGraph[str]", spending: Spending) -> Tree:
    parents = f" from {', '.join(proposal.parents)}" if proposal.parents else ""
    node = branch.add(plain(f"{proposal.slot} {proposal.operator} ({proposal.engine}){parents}", "cyan"))
    thought = proposal.thought
    if thought.get("why"):
        why = plain(f"why: {one_line(thought['why'], LONGEST)}")
        node.add(why.append(*verdict(graph, node_id(proposal.slot, "idea"))))
    if thought.get("idea"):
        node.add(plain(f"idea: {one_line(thought['idea'], LONGEST)} (expected {thought.get('expected')})"))
    if isinstance(found := thought.get("found"), list):
        node.add(plain(f"found functions: {one_line(', '.join(map(str, found)))}"))
    if spending.looked_up:
        node.add(plain(f"tool calls: {one_line('; '.join(spending.looked_up))}", "dim"))
    _add_thinking(node, spending)
    if spending.agents:
        node.add(plain(f"cost: {cost_line(spending.agents)}", "dim"))
    return node


def _add_thinking(node: Tree, spending: Spending) -> None:
    """Shortened thinking of the models; the trace of the candidate has the complete texts."""
    for thinking in spending.thinking:
        node.add(plain(f"thinking: {one_line(thinking)}", "dim"))


def _said(event: Event) -> Text:
    data: dict[str, Any] = event.data
    if event.kind == "decided":
        return decided(event)
    comments = one_line("; ".join(data["comments"]))
    return plain(f"{data['by']}: {data['verdict']}{': ' if comments else ''}{comments}", "dim")


def _end(outcome: Outcome, graph: "nx.MultiDiGraph[str]") -> Text:
    line = plain(ending(outcome), style_of(outcome))
    edge = (node_id(outcome.slot, "design"), outcome.slot, "implements")
    credit = graph.edges[edge]["credit"] if graph.has_edge(*edge) else 0.0
    if credit:
        line.append(f", credit {credit:+.3f}", "dim")
    return line
