from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.gcot.chain import as_text, compile_chain
from autoprune.gcot.graph import DECAY, GCoT
from autoprune.runs.archive import Edge, Node


def candidate(slot, parents, gain, generation=1, verdict="supports", origin="obs.skew"):
    nodes = [
        Node(f"{slot}.idea", "hypothesis", generation, f"why {slot}"),
        Node(f"{slot}.design", "design", generation, f"design {slot}"),
        Node(slot, "algorithm", generation, f"formula {slot}"),
        Node(f"{slot}.evidence", "evidence", generation, f"measured {slot}", {"gain": gain}),
    ]
    edges = [
        Edge(origin, f"{slot}.idea", "motivates", generation),
        Edge(f"{slot}.idea", f"{slot}.design", "motivates", generation),
        Edge(f"{slot}.design", slot, "implements", generation),
        Edge(slot, f"{slot}.evidence", "tests", generation),
        Edge(f"{slot}.idea", f"{slot}.evidence", verdict, generation),
    ]
    edges += [Edge(parent, f"{slot}.design", "refines", generation) for parent in parents]
    return nodes, edges


def graph(*candidates, credited=True):
    nodes = [
        Node("obs.skew", "observation", 0, "skewed"),
        Node("seed.wanda.design", "design", 0, "published"),
        Node("seed.wanda", "algorithm", 0, "wanda"),
        Node("seed.wanda.evidence", "evidence", 0, "65.6", {"gain": None}),
    ]
    edges = [
        Edge("seed.wanda.design", "seed.wanda", "implements", 0),
        Edge("seed.wanda", "seed.wanda.evidence", "tests", 0),
    ]
    for more_nodes, more_edges in candidates:
        nodes, edges = nodes + more_nodes, edges + more_edges
    return GCoT(nodes, edges, credited)


def test_gain_flows_back_along_the_path_with_decay():
    gcot = graph(candidate("g1.c1", ["seed.wanda"], 0.5))
    assert gcot.credit["g1.c1.design", "g1.c1", "implements"] == pytest.approx(0.5)
    assert gcot.credit["seed.wanda", "g1.c1.design", "refines"] == pytest.approx(0.5 * DECAY)
    assert gcot.credit["obs.skew", "g1.c1.idea", "motivates"] == pytest.approx(0.5 * DECAY**2)


def test_gains_of_descendants_add_up_on_a_shared_edge():
    gcot = graph(candidate("g1.c1", ["seed.wanda"], 0.2), candidate("g2.c1", ["g1.c1"], 0.1, 2))
    assert gcot.credit["g1.c1.design", "g1.c1", "implements"] == pytest.approx(0.2 + 0.1 * DECAY**2)


def test_the_path_to_a_parent_takes_the_edges_with_most_credit():
    gcot = graph(
        candidate("g1.c1", ["seed.wanda"], 0.4),
        candidate("g1.c2", ["seed.wanda"], -0.4, verdict="refutes"),
        candidate("g2.c1", ["g1.c1", "g1.c2"], 0.3, 2),
    )
    path = gcot.path_to("g2.c1")
    assert path[-1] == "g2.c1"
    assert "g1.c1" in path
    assert "g1.c2" not in path


def test_the_contrast_is_the_costliest_refuted_hypothesis_off_the_path():
    gcot = graph(
        candidate("g1.c1", ["seed.wanda"], -0.1, verdict="refutes"),
        candidate("g1.c2", ["seed.wanda"], -0.9, verdict="refutes"),
    )
    assert gcot.refuted().id == "g1.c2.idea"
    assert gcot.refuted(but=["g1.c2.idea"]).id == "g1.c1.idea"
    assert graph().refuted() is None


def test_without_credit_all_edges_weigh_the_same():
    assert set(graph(candidate("g1.c1", ["seed.wanda"], 0.5), credited=False).credit.values()) == {0.0}


@pytest.mark.parametrize(
    ("edge", "complaint"),
    [
        (Edge("obs.skew", "nowhere", "motivates", 1), "does not exist"),
        (Edge("obs.skew", "seed.wanda", "motivates", 1), "cannot join"),
        (Edge("obs.skew", "seed.wanda.evidence", "tests", 1), "cannot join"),
    ],
)
def test_impossible_links_are_refused(edge, complaint):
    with pytest.raises(ValueError, match=complaint):
        graph(([], [edge]))


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle"):
        graph(candidate("g1.c1", ["g1.c1"], 0.1))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=12))
def test_a_chain_of_candidates_has_bounded_credit_and_a_path_from_the_start(gains):
    parents, candidates = "seed.wanda", []
    for place, gain in enumerate(gains, 1):
        candidates.append(candidate(f"g{place}.c1", [parents], gain, place))
        parents = f"g{place}.c1"
    gcot = graph(*candidates)
    limit = 1 / (1 - DECAY)
    assert all(abs(credit) <= limit for credit in gcot.credit.values())
    assert gcot.path_to(parents)[0] in ("obs.skew", "seed.wanda.design")


def test_every_step_of_a_chain_names_its_measurement_or_is_a_conjecture():
    gcot = graph(candidate("g1.c1", ["seed.wanda"], 0.4), candidate("g1.c2", [], -0.4, verdict="refutes"))
    chain = compile_chain(gcot, ["g1.c1"], "full")
    assert {step.node for step in chain} >= {"g1.c1", "g1.c1.evidence", "g1.c2.idea"}
    for step in chain:
        assert step.ground is None or gcot.nodes[step.ground].kind in ("evidence", "observation")
    text = as_text(chain)
    assert "[g1.c2.idea] hypothesis (refuted): why g1.c2 (measured: g1.c2.evidence)" in text
    assert text.startswith("1. ")


def test_a_chain_tells_a_sentence_once_and_a_measurement_once():
    repeated, edges = candidate("g1.c1", ["seed.wanda"], 0.4)
    repeated[1] = replace(repeated[1], text=repeated[2].text)
    lesson = [Node("g1.lesson", "lesson", 1, "learnt", {"ground": "g1.c1.evidence"})]
    learnt = [Edge("g1.c1.evidence", "g1.lesson", "motivates", 1)]
    child = candidate("g2.c1", ["g1.c1"], 0.2, 2, origin="g1.lesson")
    chain = compile_chain(graph((repeated, edges), (lesson, learnt), child), ["g2.c1", "g1.c1"], "full")
    nodes = [step.node for step in chain]
    assert len(nodes) == len(set(nodes))
    assert "g1.c1.design" not in nodes
    assert nodes.index("g2.c1.design") + 1 == nodes.index("g2.c1")  # whose text says something else
    assert as_text(chain).count("formula g1.c1") == 1
    assert as_text(chain).count("measured g1.c1 ") == 1


def test_ablations_shorten_the_chain():
    gcot = graph(candidate("g1.c1", ["seed.wanda"], 0.4))
    assert compile_chain(gcot, ["g1.c1"], "none") == []
    assert [step.node for step in compile_chain(gcot, ["g1.c1"], "flat")] == ["g1.c1", "g1.c1.evidence"]
    assert as_text([]) == "(nothing yet)"


@pytest.mark.parametrize(
    ("section", "gone"),
    [("path", "g1.c1.idea"), ("contrast", "g1.c2.idea"), ("lessons", "g1.lesson")],
)
def test_a_section_left_out_is_missing_from_the_chain_and_the_parent_is_not(section, gone):
    lesson = [Node("g1.lesson", "lesson", 1, "learnt", {"ground": "g1.c1.evidence"})], []
    gcot = graph(candidate("g1.c1", [], 0.4), candidate("g1.c2", [], -0.4, verdict="refutes"), lesson)
    whole = {step.node for step in compile_chain(gcot, ["g1.c1"], "full")}
    left = {step.node for step in compile_chain(gcot, ["g1.c1"], "full", {"path", "contrast", "lessons"} - {section})}
    assert gone in whole
    assert gone not in left
    assert {"g1.c1", "g1.c1.evidence"} <= left


def test_a_chain_to_a_published_score_starts_with_an_observation_of_the_target():
    chain = compile_chain(graph(), ["seed.wanda"], "full")
    assert [step.node for step in chain] == ["obs.skew", "seed.wanda.design", "seed.wanda", "seed.wanda.evidence"]
    assert all(step.ground for step in chain)
