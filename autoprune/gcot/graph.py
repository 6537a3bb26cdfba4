"""GCoT, the graph-driven chain of thought: a typed DAG of observations, hypotheses, designs, algorithms and evidence.

An edge points from a node to the later one that it led to; `supports`, `refutes` and `informs` (undecided) go from a
hypothesis to each measurement that tested it. Its verdict is that of all of them together (`belief.py`). Nodes and
edges are stored in the archive. Credit is computed from them: an algorithm's gain (the log ratio of its best parent's
perplexity to its own) is propagated back along all paths to it, with decay.
"""

from collections.abc import Iterable
from typing import Literal

import networkx as nx

from autoprune.gcot.belief import Belief, Contrast, pooled
from autoprune.runs.archive import Edge, Node

NodeKind = Literal["observation", "hypothesis", "design", "algorithm", "evidence", "lesson"]
EdgeKind = Literal["motivates", "refines", "combines", "implements", "tests", "supports", "refutes", "informs"]

ALLOWED: dict[EdgeKind, tuple[set[NodeKind], set[NodeKind]]] = {
    "motivates": ({"observation", "lesson", "evidence", "hypothesis"}, {"hypothesis", "design", "lesson"}),
    "refines": ({"algorithm"}, {"design"}),
    "combines": ({"algorithm"}, {"design"}),
    "implements": ({"design"}, {"algorithm"}),
    "tests": ({"algorithm"}, {"evidence"}),
    "supports": ({"hypothesis"}, {"evidence"}),
    "refutes": ({"hypothesis"}, {"evidence"}),
    "informs": ({"hypothesis"}, {"evidence"}),
}
"""Kind of edge -> the kinds of node that it may start at and end at."""

TESTED: tuple[EdgeKind, ...] = ("supports", "refutes", "informs")
"""Edges from a hypothesis to what tested it."""
STATES = {"supports": "supported", "refutes": "refuted"}
DECAY = 0.6
REACH = 8
_LARGEST_GAIN = 1.0


class GCoT:
    """The reasoning graph of a run. Raises ValueError for edges of unknown nodes or wrong kinds, and for cycles."""

    def __init__(self, nodes: Iterable[Node], edges: Iterable[Edge], credited: bool = True) -> None:
        self.graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self.nodes = {node.id: node for node in nodes}
        self.graph.add_nodes_from(self.nodes)
        for edge in edges:
            self._connect(edge)
        if not nx.is_directed_acyclic_graph(self.graph):
            raise ValueError("the reasoning graph has a cycle")
        self.credit = self._credit() if credited else dict.fromkeys(self.graph.edges(keys=True), 0.0)

    def path_to(self, node: str) -> list[str]:
        """The best-credit path from an observation (or a lesson) to a node, the node last."""
        best: dict[str, tuple[float, list[str]]] = {}
        ancestors = nx.ancestors(self.graph, node) | {node}
        for current in nx.lexicographical_topological_sort(self.graph.subgraph(ancestors)):
            paths = [
                (best[before][0] + self.credit[before, current, kind], best[before][1])
                for before, _, kind in self.graph.in_edges(current, keys=True)
                if kind not in TESTED
            ]
            total, path = max(paths, key=lambda scored: (scored[0], len(scored[1])), default=(0.0, []))
            best[current] = (total, [*path, current])
        return best[node][1]

    def refuted(self, but: Iterable[str] = ()) -> Node | None:
        """The refuted hypothesis with the largest loss, not among `but`: the contrast in a prompt."""
        losses = {}
        for node in self.of_kind("hypothesis"):
            settled = self.verdict(node.id) if node.id not in set(but) else None
            if settled is not None and settled[0] == "refutes":
                losses[node.id] = settled[1].data.get("gain", 0.0)
        return self.nodes[min(losses, key=lambda name: (losses[name], name))] if losses else None

    def verdict(self, hypothesis: str) -> tuple[str, Node] | None:
        """`supports` or `refutes`, with the latest evidence for that; None while a hypothesis is open."""
        claim, belief = self.nodes[hypothesis].data.get("expected"), self.belief(hypothesis)
        tests = self._tests(hypothesis)
        if belief is None or claim is None:  # a graph of an older version may have a verdict alone
            return next(((kind, evidence) for kind, evidence in tests if kind != "informs"), None)
        verdict = belief.verdict(claim)
        same = [evidence for kind, evidence in tests if kind == verdict] or [evidence for _, evidence in tests]
        return (verdict, same[-1]) if verdict else None

    def belief(self, hypothesis: str) -> Belief | None:
        """The effect of its mechanism by all measurements that tested it; None before the first."""
        data = [evidence.data for _, evidence in self._tests(hypothesis)]
        tests = [Contrast(each["gain"], each.get("error")) for each in data if each.get("gain") is not None]
        return pooled(tests) if tests else None

    def state(self, hypothesis: str) -> str:
        """supported, refuted, undecided, or conjecture for one without a test."""
        if settled := self.verdict(hypothesis):
            return STATES[settled[0]]
        return "undecided" if self.belief(hypothesis) else "conjecture"

    def _tests(self, hypothesis: str) -> list[tuple[str, Node]]:
        edges = self.graph.out_edges(hypothesis, keys=True)
        return [(kind, self.nodes[evidence]) for _, evidence, kind in edges if kind in TESTED]

    def observations(self, count: int) -> list[str]:
        """The observations with the most credit on their outgoing edges."""
        credits = {
            node.id: sum(self.credit[edge] for edge in self.graph.out_edges(node.id, keys=True))
            for node in self.of_kind("observation")
        }
        return sorted(credits, key=lambda name: -credits[name])[:count]

    def evidence(self, algorithm: str) -> Node | None:
        """The measurement of an algorithm, if there is one."""
        name = self._successor(algorithm, "tests")
        return self.nodes[name] if name else None

    def ground(self, name: str) -> str | None:
        """The observation or evidence that a node rests on; None for a conjecture."""
        node = self.nodes[name]
        match node.kind:
            case "observation" | "evidence":
                return name
            case "hypothesis":
                settled, tests = self.verdict(name), self._tests(name)
                return settled[1].id if settled else tests[-1][1].id if tests else None
            case "algorithm":
                measured = self.evidence(name)
                return measured.id if measured else None
            case "design":
                algorithm = self._successor(name, "implements")
                return self.ground(algorithm) if algorithm else None
        return node.data.get("ground")

    def described(self) -> "nx.MultiDiGraph[str]":
        """A copy of the graph with attributes of text and numbers only, for export.

        A node has kind, generation, text, ground (the id of an observation or evidence, or "conjecture") and the text
        and numbers of its data, a hypothesis also its state and, once tested, its belief; an edge has kind, generation
        and credit.
        """
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for node in self.nodes.values():
            attributes = {key: value for key, value in node.data.items() if isinstance(value, str | int | float)}
            attributes |= {"kind": node.kind, "generation": node.generation, "text": node.text}
            if node.kind == "hypothesis":
                attributes |= {"state": self.state(node.id), "belief": str(self.belief(node.id) or "")}
            graph.add_node(node.id, **attributes | {"ground": self.ground(node.id) or "conjecture"})
        for (source, target, kind), credit in self.credit.items():
            generation = self.nodes[target].generation
            graph.add_edge(source, target, key=kind, kind=kind, generation=generation, credit=round(credit, 6))
        return graph

    def of_kind(self, kind: NodeKind) -> list[Node]:
        return [node for node in self.nodes.values() if node.kind == kind]

    def _successor(self, name: str, kind: EdgeKind) -> str | None:
        return next((after for _, after, edge in self.graph.out_edges(name, keys=True) if edge == kind), None)

    def _connect(self, edge: Edge) -> None:
        if edge.source not in self.nodes or edge.target not in self.nodes:
            raise ValueError(f"an edge names a thought that does not exist: {edge.source} -> {edge.target}")
        origins, targets = ALLOWED[edge.kind]  # type: ignore[index]
        kinds = self.nodes[edge.source].kind, self.nodes[edge.target].kind
        if kinds[0] not in origins or kinds[1] not in targets:
            raise ValueError(f"{edge.kind} cannot join {kinds[0]} {edge.source} to {kinds[1]} {edge.target}")
        self.graph.add_edge(edge.source, edge.target, key=edge.kind)

    def _credit(self) -> dict[tuple[str, str, str], float]:
        credit = dict.fromkeys(self.graph.edges(keys=True), 0.0)
        for algorithm in self.of_kind("algorithm"):
            evidence = self.evidence(algorithm.id)
            gain = evidence.data.get("gain") if evidence else None
            if gain:
                share = max(-_LARGEST_GAIN, min(_LARGEST_GAIN, gain))
                distances = nx.single_source_shortest_path_length(self.graph.reverse(copy=False), algorithm.id, REACH)
                for target, distance in distances.items():
                    for before, _, kind in self.graph.in_edges(target, keys=True):
                        credit[before, target, kind] += share * DECAY**distance
        return credit
