"""Export of the reasoning graph: JSON (node-link), GraphML, Mermaid.

A graph is made by `GCoT.described`: nodes have kind, generation, text and ground; edges have kind, generation and
credit.
"""

import json
from collections.abc import Callable

import networkx as nx

from autoprune.report.text import one_line, visible

Graph = nx.MultiDiGraph
_SHAPES = {
    "observation": '(["{}"])',
    "hypothesis": '{{{{"{}"}}}}',
    "design": '["{}"]',
    "algorithm": '[["{}"]]',
    "evidence": '[("{}")]',
    "lesson": '>"{}"]',
}
_ARROWS = {"supports": "==>", "refutes": "-.->"}
_COLOURS = {
    "observation": "#dbeafe",
    "hypothesis": "#fef9c3",
    "design": "#f3f4f6",
    "algorithm": "#e0e7ff",
    "evidence": "#dcfce7",
    "lesson": "#fae8ff",
}
_SPECIAL = str.maketrans({character: f"#{ord(character)};" for character in '"#&<>`\\'})
LABEL = 90


def led_to(graph: "Graph[str]", node: str) -> "Graph[str]":
    """The ancestors of a node, the evidence on it and the lessons from that evidence."""
    evidence = [target for _, target, kind in graph.out_edges(node, keys=True) if kind == "tests"]
    lessons = [target for _, target in graph.out_edges(evidence) if graph.nodes[target]["kind"] == "lesson"]
    return _part(graph, {node, *nx.ancestors(graph, node), *evidence, *lessons})


def until(graph: "Graph[str]", generation: int) -> "Graph[str]":
    """The graph at the end of a generation."""
    return _part(graph, {node for node, data in graph.nodes(data=True) if data["generation"] <= generation})


def _part(graph: "Graph[str]", kept: set[str]) -> "Graph[str]":
    """Some nodes and the edges between them, in the original order, unlike a networkx subgraph."""
    return nx.MultiDiGraph(nx.subgraph_view(graph, filter_node=kept.__contains__))


def as_json(graph: "Graph[str]") -> str:
    """Node-link JSON, as `networkx.node_link_graph(..., edges="edges")` reads it."""
    return json.dumps(nx.node_link_data(_shown(graph), edges="edges"), indent=2, ensure_ascii=False, allow_nan=False)


def as_graphml(graph: "Graph[str]") -> str:
    """GraphML, as `networkx.parse_graphml`, yEd, Gephi and Cytoscape read it."""
    return "\n".join(nx.generate_graphml(_shown(graph)))


def as_mermaid(graph: "Graph[str]") -> str:
    """A Mermaid flow chart: a shape and colour per kind, credit at the edges; dotted refutes, thick supports."""
    names = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node, data in graph.nodes(data=True):
        label = one_line(f"{node}: {data['text']}", LABEL).translate(_SPECIAL)
        lines.append(f"  {names[node]}{_SHAPES[data['kind']].format(label)}:::{data['kind']}")
    for source, target, data in graph.edges(data=True):
        credit = f" {data['credit']:+.3f}" if data["credit"] else ""
        arrow = _ARROWS.get(data["kind"], "-->")
        lines.append(f'  {names[source]} {arrow}|"{data["kind"]}{credit}"| {names[target]}')
    kinds = dict.fromkeys(data["kind"] for _, data in graph.nodes(data=True))
    lines += [f"  classDef {kind} fill:{_COLOURS[kind]},stroke:#6b7280,color:#111827" for kind in kinds]
    return "\n".join(lines)


FORMATS: dict[str, Callable[["Graph[str]"], str]] = {"json": as_json, "graphml": as_graphml, "mermaid": as_mermaid}


def _shown(graph: "Graph[str]") -> "Graph[str]":
    """The graph without control characters, which XML does not allow."""
    shown: Graph[str] = nx.MultiDiGraph(graph)
    for _, data in shown.nodes(data=True):
        data.update({key: visible(value, 100_000) for key, value in data.items() if isinstance(value, str)})
    return shown
