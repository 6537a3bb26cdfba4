"""The layout of the reasoning graph: generations to the right, one row per candidate."""

import re
from statistics import fmean
from typing import Any

import networkx as nx

from autoprune.report.html.material import Material
from autoprune.report.html.safe import cut, number

COLUMNS = {"observation": 0, "hypothesis": 1, "design": 2, "algorithm": 3, "evidence": 4, "lesson": 5}
"""The column of a thought within its generation, by its kind."""
_PART = re.compile(r"\.(idea|design|evidence)$")
_SHOWN = {"kind", "generation", "text", "ground"}

Graph = nx.MultiDiGraph


def reasoning(material: Material, longest: int) -> dict[str, Any]:
    """`nodes` with text, ground, place and facts; `edges` as numbers of nodes, with kind and credit."""
    graph = material.graph
    places = placed(graph)
    numbers = {name: index for index, name in enumerate(graph)}
    slots = {proposal.slot for proposal in material.proposals}
    nodes = [
        {
            "id": name,
            "kind": data["kind"],
            "generation": data["generation"],
            "text": cut(data["text"], longest),
            "ground": data["ground"],
            "facts": [[key, cut(value, 200)] for key, value in data.items() if key not in _SHOWN],
            "slot": group_of(name) if group_of(name) in slots else None,
            "x": places[name][0],
            "y": places[name][1],
        }
        for name, data in graph.nodes(data=True)
    ]
    edges = [
        [numbers[source], numbers[target], data["kind"], number(data["credit"])]
        for source, target, data in graph.edges(data=True)
    ]
    present = {node["kind"] for node in nodes}
    return {"nodes": nodes, "edges": edges, "kinds": [kind for kind in COLUMNS if kind in present]}


def group_of(name: str) -> str:
    """The candidate or published score of a thought, or the thought itself."""
    return _PART.sub("", name)


def placed(graph: "Graph[str]") -> dict[str, tuple[float, float]]:
    """The place of every thought. The rows of a generation are in the order of their parents' rows, to reduce
    crossings, and centred."""
    generations: dict[int, dict[str, list[str]]] = {}
    for name, data in graph.nodes(data=True):
        generations.setdefault(data["generation"], {}).setdefault(group_of(name), []).append(name)
    rows: dict[str, float] = {}
    places: dict[str, tuple[float, float]] = {}
    left = 0.0
    for generation in sorted(generations):
        groups = generations[generation]
        order = {group: _above(graph, members, rows) for group, members in groups.items()}
        for row, group in enumerate(sorted(groups, key=lambda group: order[group])):
            rows[group] = row - (len(groups) - 1) / 2
            for name in groups[group]:
                places[name] = (left + COLUMNS[graph.nodes[name]["kind"]], -rows[group])
        left += len(COLUMNS) + 1
    return places


def _above(graph: "Graph[str]", members: list[str], rows: dict[str, float]) -> float:
    """The mean row of a group's predecessors; 0 without any in an earlier generation."""
    earlier = (group_of(before) for member in members for before in graph.predecessors(member))
    before = [rows[group] for group in earlier if group in rows]
    return fmean(before) if before else 0.0
