"""An algorithm with another one's allocation is still that algorithm, and so is one with more rounds."""

from types import SimpleNamespace

from autoprune.agents.population import Algorithm
from autoprune.agents.proposer import same_formula
from autoprune.agents.recombiner import recombined_draft

SCORE = "def score(layer):\n    return layer.weight.abs()\n"
SPREAD = SCORE + "\n\ndef allocate(units, sparsity):\n    return [unit.depth for unit in units]\n"


def test_the_formula_of_the_parent_is_kept():
    parents = [
        Algorithm("g1.c1", "", SCORE, 50.0, {"idea": "first", "formula": "|W|", "reasoning": "long"}),
        Algorithm("g1.c2", "", SPREAD, 51.0, {"idea": "second", "formula": "|W|²"}),
    ]
    draft = recombined_draft(SimpleNamespace(), SimpleNamespace(parents=parents))
    assert draft.thought["formula"] == "|W|"
    assert draft.thought["idea"] == "the algorithm of g1.c1 with the allocation of g1.c2"
    assert "reasoning" not in draft.thought


def test_a_thought_without_a_formula_gives_none():
    assert same_formula({"idea": "x"}) == {}
