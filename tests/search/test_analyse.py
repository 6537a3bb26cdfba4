"""What a measured candidate adds to the reasoning graph."""

import pytest

from autoprune.gcot.graph import GCoT
from autoprune.runs.archive import Node, Outcome, Proposal
from autoprune.search.analyse import thoughts

EARLIER = {
    node.id: node
    for node in (
        Node("g1.c1", "algorithm", 1, "an algorithm"),
        Node("g1.c1.idea", "hypothesis", 1, "it helps", {"expected": "better"}),
        Node("g1.c2.idea", "hypothesis", 1, "it hurts", {"expected": "worse"}),
    )
}


def graph(gain, error, **thought):
    proposal = Proposal("g2.c1", 0, 2, "explore", "llm", [], {"idea": "i", "why": "w", **thought}, "abc")
    data = {"gain": gain, "gain_error": error, "perplexity": 20.0}
    nodes, edges = thoughts(proposal, Outcome("g2.c1", 2, "abc", "measured", data=data), EARLIER)
    return GCoT([*EARLIER.values(), *nodes], edges)


def test_a_candidate_tests_its_own_hypothesis_and_those_it_names():
    gcot = graph(0.1, 0.01, expected="better", tests=["g1.c1.idea", "g1.c2.idea"])
    assert [gcot.state(name) for name in ("g2.c1.idea", "g1.c1.idea", "g1.c2.idea")] == [
        "supported",
        "supported",
        "refuted",
    ]
    assert gcot.ground("g1.c2.idea") == "g2.c1.evidence"


@pytest.mark.parametrize("name", ["g1.c1", "g9.c9.idea"])
def test_a_test_of_what_is_no_hypothesis_leaves_the_graph_whole(name):
    gcot = graph(0.1, 0.01, expected="better", tests=[name])
    assert not gcot.graph.has_edge(name, "g2.c1.evidence")
    assert gcot.state("g2.c1.idea") == "supported"


def test_an_effect_within_chance_leaves_a_hypothesis_undecided():
    assert graph(0.01, 0.02, expected="better").state("g2.c1.idea") == "undecided"


def test_without_a_claim_nothing_is_tested():
    assert graph(0.1, 0.01).state("g2.c1.idea") == "conjecture"
