"""Whose company a candidate must be able to enter."""

from types import SimpleNamespace

from autoprune.search.comparison_pool import elite, of_same_league

SEEDS = {"baseline:wanda+uniform": 60.0, "baseline:magnitude+uniform": 8000.0}


def of(finalists, **earlier):
    return elite(finalists, earlier, SEEDS)


def test_published_scores_fill_up_the_elite_until_there_are_enough_candidates():
    assert of(3) == ["baseline:wanda+uniform", "baseline:magnitude+uniform"]
    assert of(3, a=70.0) == ["baseline:wanda+uniform", "a", "baseline:magnitude+uniform"]
    assert of(3, a=70.0, b=50.0) == ["b", "baseline:wanda+uniform", "a"]


def test_enough_candidates_are_an_elite_of_their_own_so_that_the_finalists_are_among_them():
    assert of(1, a=70.0, b=65.0, c=90.0) == ["b", "a"]


def test_the_elite_holds_all_finalists():
    found = of(3, a=1.0, b=2.0, c=3.0, d=4.0)
    assert found == ["a", "b", "c"]


def test_a_candidate_that_updates_weights_races_against_those_that_do_too():
    score = "def score(layer):\n    return layer.weight.abs()\n"
    update = score + "\n\ndef update(layer, mask):\n    return layer.weight * mask\n"
    sources = {"a": score, "b": update, "c": score, "d": update}
    context = SimpleNamespace(run=SimpleNamespace(source=sources.__getitem__))
    earlier = {"a": 40.0, "b": 30.0}
    assert of_same_league(context, earlier, "c") == {"a": 40.0}
    assert of_same_league(context, earlier, "d") == {"b": 30.0}
