"""The reasoning graph for other programs and for the terminal, with text that means harm to each format."""

import io
import json
import re

import networkx as nx
import pytest
from rich.console import Console

from autoprune.gcot.graph import GCoT
from autoprune.report.graph import FORMATS, as_graphml, as_json, as_mermaid, led_to, until
from autoprune.report.reasoning import reasoning_tree
from autoprune.runs.archive import Edge, Node

HOSTILE = 'end"] --> x; %% [/bold] `m` <script>alert("1")</script> & \x00 \x1b[2J \u202e #quot; ]]>\n]'


def thoughts(text="a thought"):
    nodes = [Node("obs.skew", "observation", 0, text)]
    edges = []
    for slot, generation, parent, gain, verdict in (
        ("g1.c1", 1, None, -0.2, "refutes"),
        ("g2.c1", 2, "g1.c1", 0.3, "supports"),
        ("g2.c10", 2, "g1.c1", None, None),
    ):
        nodes += [
            Node(f"{slot}.idea", "hypothesis", generation, text, {"expected": "better"}),
            Node(f"{slot}.design", "design", generation, text),
            Node(slot, "algorithm", generation, text, {"candidate": "abc"}),
            Node(f"{slot}.evidence", "evidence", generation, text, {"gain": gain, "status": "measured"}),
        ]
        edges += [
            Edge("obs.skew", f"{slot}.idea", "motivates", generation),
            Edge(f"{slot}.idea", f"{slot}.design", "motivates", generation),
            Edge(f"{slot}.design", slot, "implements", generation),
            Edge(slot, f"{slot}.evidence", "tests", generation),
        ]
        edges += [Edge(parent, f"{slot}.design", "refines", generation)] if parent else []
        edges += [Edge(f"{slot}.idea", f"{slot}.evidence", verdict, generation)] if verdict else []
    nodes.append(Node("g1.lesson", "lesson", 1, text, {"ground": "g1.c1.evidence", "by": "statistics"}))
    edges.append(Edge("g1.c1.evidence", "g1.lesson", "motivates", 1))
    return GCoT(nodes, edges)


@pytest.fixture
def graph():
    return thoughts().described()


def same(one, other):
    edges = [
        {
            (source, target, key): (data["kind"], data["credit"])
            for source, target, key, data in g.edges(keys=True, data=True)
        }
        for g in (one, other)
    ]
    return dict(one.nodes(data=True)) == dict(other.nodes(data=True)) and edges[0] == edges[1]


def test_every_claim_names_its_measurement_or_is_a_conjecture(graph):
    grounds = {name: data["ground"] for name, data in graph.nodes(data=True)}
    assert grounds["g1.c1.idea"] == grounds["g1.c1"] == grounds["g1.c1.design"] == "g1.c1.evidence"
    assert grounds["g2.c10.idea"] == "conjecture"
    assert grounds["g1.lesson"] == "g1.c1.evidence"
    assert {graph.nodes[ground]["kind"] for ground in grounds.values() if ground != "conjecture"} == {
        "observation",
        "evidence",
    }


def test_json_and_graphml_come_back_as_the_same_graph(graph):
    assert same(graph, nx.node_link_graph(json.loads(as_json(graph)), edges="edges"))
    assert same(graph, nx.parse_graphml(as_graphml(graph), force_multigraph=True))


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_text_stays_text_in_every_format(form):
    text = FORMATS[form](thoughts(HOSTILE).described())
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", text)
    if form == "graphml":
        back = nx.parse_graphml(text, force_multigraph=True)
        assert "<script>" in back.nodes["g1.c1"]["text"]


def test_mermaid_keeps_every_label_inside_its_quotes():
    lines = as_mermaid(thoughts(HOSTILE).described()).splitlines()
    nodes = [line for line in lines if ":::" in line]
    assert len(nodes) == 14
    for line in nodes:
        label = re.fullmatch(r'  n\d+[\[({>]+"([^"]*)"[\])}]+:::[a-z]+', line)
        assert label, line
        assert not set("<>`") & set(label[1])


def test_mermaid_draws_refutation_dotted_and_credit_at_the_edges(graph):
    drawn = as_mermaid(graph)
    assert re.search(r'n\d+ -\.->\|"refutes[^"]*"\| n\d+', drawn)
    assert re.search(r'n\d+ ==>\|"supports[^"]*"\| n\d+', drawn)
    assert 'implements +0.300"' in drawn


def test_what_led_to_a_candidate_leaves_its_siblings_out(graph):
    part = led_to(graph, "g2.c1")
    assert {"obs.skew", "g1.c1", "g2.c1.idea", "g2.c1.evidence"} <= set(part)
    assert not {"g2.c10", "g2.c10.evidence", "g1.lesson"} & set(part)
    assert list(part) == [name for name in graph if name in part]


def test_the_graph_until_a_generation_holds_nothing_later(graph):
    assert {data["generation"] for _, data in until(graph, 1).nodes(data=True)} == {0, 1}


def drawn(graph, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(reasoning_tree(graph))
    return console.file.getvalue()


def test_the_tree_hangs_each_idea_under_what_it_refines_with_evidence_and_credit(graph):
    lines = drawn(graph).splitlines()
    parent = next(line for line in lines if "g1.c1 " in line)
    child = next(line for line in lines if "g2.c1 " in line)
    assert child.index("g2.c1") > parent.index("g1.c1")
    assert "credit +0.300" in child
    assert sum("refuted by g1.c1.evidence" in line for line in lines) == 1
    assert sum("(conjecture)" in line for line in lines) == 1
    assert any("lesson: a thought  (g1.c1.evidence)" in line for line in lines)


def test_the_tree_survives_hostile_text_and_a_lineage_longer_than_the_stack():
    assert "\x1b" not in drawn(thoughts(HOSTILE).described(), width=60)
    nodes, edges = [], []
    for number in range(1100):
        nodes += [Node(f"d{number}", "design", number, "d"), Node(f"a{number}", "algorithm", number, "a")]
        edges += [Edge(f"d{number}", f"a{number}", "implements", number)]
        edges += [Edge(f"a{number - 1}", f"d{number}", "refines", number)] if number else []
    text = drawn(GCoT(nodes, edges).described(), width=5000)
    assert "a1099 a" in text
