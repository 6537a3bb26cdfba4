"""The reasoning graph as a tree for the terminal: designs under their parents, with evidence and credit."""

from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
from rich.text import Text
from rich.tree import Tree

from autoprune.report.text import one_line, plain

LONGEST = 300
COLOURS = {"supported": "green", "refuted": "red", "undecided": "yellow"}
"""Colour of a hypothesis by its state."""

Graph = nx.MultiDiGraph


def reasoning_tree(graph: "Graph[str]") -> Tree:
    """Every design under the algorithm that it refines (of several, the one with most credit), with its hypotheses,
    evidence and lessons. `graph`: by `GCoT.described`."""
    root = Tree(Text(f"reasoning graph: {graph.number_of_nodes()} thoughts, {graph.number_of_edges()} links", "bold"))
    for name in _of_kind(graph, "observation"):
        root.add(_thought(graph, name, "observation", "blue"))
    children: dict[str | None, list[str]] = {}
    for design in _of_kind(graph, "design"):
        children.setdefault(_parent(graph, design), []).append(design)
    # A stack instead of recursion, since lineages can exceed Python's recursion limit.
    waiting = [(root, design) for design in reversed(children.get(None, []))]
    while waiting:
        above, design = waiting.pop()
        branch, algorithm = _individual(graph, above, design)
        waiting += [(branch, child) for child in reversed(children.get(algorithm, []) if algorithm else [])]
    return root


def _individual(graph: "Graph[str]", above: Tree, design: str) -> tuple[Tree, str | None]:
    algorithm = next(iter(_after(graph, design, "implements")), None)
    name = algorithm or design
    line = Text(f"{name} ", "cyan") + plain(one_line(graph.nodes[name]["text"], LONGEST))
    credit = graph.edges[design, algorithm, "implements"]["credit"] if algorithm else 0.0
    if credit:
        line.append(f"  credit {credit:+.3f}", "green" if credit > 0 else "red")
    branch = above.add(line)
    others = [source for source in _before(graph, design, "combines") if source != _parent(graph, design)]
    if others:
        branch.add(plain(f"combined with {', '.join(others)}", "dim"))
    for hypothesis in _before(graph, design, "motivates"):
        branch.add(_thought(graph, hypothesis, "because", "yellow"))
    for evidence in _after(graph, algorithm, "tests") if algorithm else ():
        node = branch.add(_thought(graph, evidence, "evidence", "green"))
        for lesson in _after(graph, evidence, "motivates"):
            if graph.nodes[lesson]["kind"] == "lesson":
                node.add(_thought(graph, lesson, "lesson", "magenta"))
    return branch, algorithm


def _thought(graph: "Graph[str]", name: str, label: str, style: str) -> Text:
    """One thought with its ground: a measurement, or a conjecture."""
    data = graph.nodes[name]
    line = plain(f"{label}: {one_line(data['text'], LONGEST)}", style)
    if data["kind"] not in ("observation", "evidence"):
        state = data.get("state", "")
        line.append(f"  ({grounded(data)})", COLOURS.get(state, "dim"))
    return line


def grounded(data: Mapping[str, Any]) -> str:
    """What a thought rests on: `supported by g2.c1.evidence: -8.1 ± 0.9 % perplexity, 1 test`, or `conjecture`."""
    state, belief = data.get("state", ""), data.get("belief", "")
    if state not in COLOURS:
        return str(data["ground"])
    return f"{state} by {data['ground']}" + (f": {belief}" if belief else "")


def _parent(graph: "Graph[str]", design: str) -> str | None:
    """The algorithm that a design refines; of several the one whose edge has most credit."""
    links = {
        source: data["credit"]
        for source, _, data in graph.in_edges(design, data=True)
        if data["kind"] in ("refines", "combines")
    }
    return max(links, key=lambda name: (links[name], name), default=None)


def _of_kind(graph: "Graph[str]", kind: str) -> list[str]:
    return [name for name, data in graph.nodes(data=True) if data["kind"] == kind]


def _after(graph: "Graph[str]", name: str, kind: str) -> Iterator[str]:
    return (target for _, target, edge in graph.out_edges(name, keys=True) if edge == kind)


def _before(graph: "Graph[str]", name: str, kind: str) -> Iterator[str]:
    return (source for source, _, edge in graph.in_edges(name, keys=True) if edge == kind)
