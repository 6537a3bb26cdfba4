"""Whom the symbolic engine takes as parents."""

from autoprune.agents.population import Algorithm
from autoprune.search.islands import able_on_island, island_of


def algorithm(name, perplexity, expression="W", code="def score(layer):\n    return layer.weight\n"):
    thought = {} if expression is None else {"expression": expression}
    return Algorithm(name, name, code, perplexity, thought)


RANKED = [algorithm("g1.c1", 50.0), algorithm("g1.c2", 51.0), algorithm("seed.wanda", 60.0), algorithm("g2.c3", 70.0)]


def names(place, generation, ranked=RANKED):
    return [each.name for each in able_on_island(ranked, place, generation)]


def test_an_island_evolves_by_itself_from_its_own_and_the_published_scores():
    assert names(1, 2) == ["g1.c1", "seed.wanda", "g2.c3"]
    assert names(2, 2) == ["g1.c2", "seed.wanda"]
    assert island_of("g7.c4") == 1


def test_every_few_generations_the_islands_mix():
    assert names(2, 4) == [each.name for each in RANKED]


def test_of_formulas_that_prune_alike_the_shorter_comes_first():
    long = ["mul", ["sqr", "W"], ["sqr", ["sqrt", "X"]]]
    ranked = [algorithm("g1.c1", 50.0, long), algorithm("g1.c3", 50.1, "W")]
    assert names(1, 1, ranked) == ["g1.c3", "g1.c1"]


def test_code_of_a_language_model_can_be_a_parent_if_it_can_be_read():
    ranked = [algorithm("g1.c1", 50.0, None), algorithm("g1.c3", 51.0, None, "score = min")]
    assert names(1, 1, ranked) == ["g1.c1", "g1.c3"]
    ranked = [algorithm("g1.c1", 50.0, None, "def score(layer:")]
    assert names(1, 1, ranked) == []
