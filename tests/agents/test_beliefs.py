import pytest

from autoprune.agents.beliefs import COMPETE, design_effects, design_of, effects_of_designs, hypotheses
from autoprune.gcot.graph import GCoT
from autoprune.runs.archive import Edge, Node, Outcome, Proposal

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
MATRIX = f'GROUP = "matrix"\n\n{WANDA}'
ALLOCATED = f"{MATRIX}\n\ndef allocate(units, sparsity):\n    return [1 - sparsity for unit in units]\n"


def claimed(name, generation, gains, expected="better", predicted=""):
    """A hypothesis with one evidence for each gain and its error."""
    nodes = [Node(name, "hypothesis", generation, f"why {name}", {"expected": expected, "predicted": predicted})]
    edges = []
    for number, (gain, error) in enumerate(gains):
        evidence = f"{name}.{number}"
        nodes.append(Node(evidence, "evidence", generation, "measured", {"gain": gain, "error": error}))
        edges.append(Edge(name, evidence, "informs", generation))
    return nodes, edges


def graph(*parts):
    return GCoT([node for nodes, _ in parts for node in nodes], [edge for _, edges in parts for edge in edges])


def ended(slot, gain, against=None, error=0.01):
    generation = int(slot[1])
    data = {"gain": gain, "gain_error": error, "against": against, "perplexity": 30.0}
    return Outcome(slot, generation, slot, "measured", data=data)


def proposed(slot, parents=()):
    return Proposal(slot, 0, int(slot[1]), "explore", "llm", list(parents), {}, slot)


def test_hypotheses_are_ranked_by_what_they_may_still_bring():
    gcot = graph(
        claimed("g1.c1.idea", 1, [(0.02, 0.002)], predicted="-8 to -3 %"),
        claimed("g1.c2.idea", 1, [(0.02, 0.05)]),
        claimed("g1.c3.idea", 1, [(-0.2, 0.01)]),
        claimed("g1.c4.idea", 1, []),
    )
    lines = hypotheses(gcot).splitlines()
    assert [line.split("]")[0] for line in lines] == ["- [g1.c2.idea", "- [g1.c1.idea", "- [g1.c3.idea"]
    assert "supported, -2.0 ± 0.2 % perplexity, 1 test (predicted -8 to -3 %): why g1.c1.idea" in lines[1]
    assert "undecided" in lines[0]
    assert "refuted" in lines[2]


def test_a_hypothesis_that_is_tested_again_has_one_verdict_of_both_tests():
    gcot = graph(claimed("g1.c1.idea", 1, [(0.1, 0.01), (-0.1, 0.01)]))
    assert gcot.state("g1.c1.idea") == "undecided"
    assert gcot.verdict("g1.c1.idea") is None
    assert "2 tests" in hypotheses(gcot)


def test_without_a_tested_hypothesis_the_prompt_says_so():
    assert hypotheses(graph()) == "(none was tested yet)"


def test_a_design_is_what_a_source_reads_and_defines():
    assert design_of(WANDA) == {"norm"}
    assert design_of(ALLOCATED) == {"norm", COMPETE, "own allocation"}


def test_a_design_choice_is_worth_what_the_pairs_that_differ_in_it_alone_show():
    outcomes = [
        ended("g1.c1", 0.0),
        ended("g2.c1", 0.1, "g1.c1"),  # rows compete
        ended("g2.c2", 0.3, "g1.c1"),  # two choices at once: beside g2.c1, a sibling, one
        ended("g3.c1", -0.1, "g2.c1"),  # back to rows alone
    ]
    sources = {"g1.c1": WANDA, "g2.c1": MATRIX, "g2.c2": ALLOCATED, "g3.c1": WANDA}
    parents = {"g1.c1": (), "g2.c1": ("g1.c1",), "g2.c2": ("g1.c1",), "g3.c1": ("g2.c1",)}
    effects = design_effects(outcomes, {slot: proposed(slot, of) for slot, of in parents.items()}, sources)
    assert list(effects) == ["own allocation", COMPETE]
    assert effects["own allocation"].effect == pytest.approx(0.2)
    assert effects[COMPETE].effect == pytest.approx(0.1)
    assert effects[COMPETE].tests == 2
    assert effects_of_designs(effects).splitlines()[1].startswith(f"- {COMPETE}: -9.5 ± ")
