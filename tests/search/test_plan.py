from types import SimpleNamespace

import pytest

from autoprune.agents.population import Algorithm
from autoprune.config import Config
from autoprune.config_sections import SearchSettings
from autoprune.search.improving import Improvements
from autoprune.search.plan import drawable_operators, near, symbolic

TWELVE = SearchSettings(max_candidates=12, generation_size=3)


@pytest.mark.parametrize(
    ("settings", "share", "first", "numbers"),
    [
        (TWELVE, 0.25, False, [4, 8, 12]),
        (TWELVE, 0.25, True, [1, 2, 3]),
        (TWELVE, 0.5, True, [1, 2, 3, 6, 9, 12]),
        (TWELVE, 0.0, True, []),
        (TWELVE, 1.0, True, list(range(1, 13))),
        (SearchSettings(max_candidates=2, generation_size=3), 0.5, True, [1]),
        (SearchSettings(max_candidates=2, generation_size=3), 1.0, True, [1, 2]),
    ],
)
def test_the_symbolic_engine_has_its_share_and_has_it_first_beside_a_slow_model(settings, share, first, numbers):
    every = range(1, settings.max_candidates + 1)
    assert [number for number in every if symbolic(number, settings, share, first)] == numbers


def algorithm(name, perplexity):
    return Algorithm(name, name, "", perplexity)


def test_parents_of_a_strong_model_are_not_far_worse_than_the_best():
    ranked = [algorithm("a", 30.0), algorithm("b", 34.0), algorithm("c", 35.0), algorithm("d", 90.0)]
    assert [each.name for each in near(ranked)] == ["a", "b"]
    assert near([]) == []


@pytest.mark.parametrize(
    ("recorded", "engine", "slot", "others", "alone"),
    [
        (None, "llm", "g2.c1", True, True),
        (frozenset({"g2.c1"}), "llm", "g2.c1", True, False),
        (frozenset({"g2.c1"}), "llm", "g2.c2", False, True),
        (frozenset({"g2.c1"}), "symbolic", "g2.c1", True, True),
    ],
)
def test_a_replay_asks_the_model_where_it_has_a_reply_and_improves_candidates_where_it_has_none(
    recorded, engine, slot, others, alone
):
    context = SimpleNamespace(config=Config(), recorded=recorded)
    better = Improvements({"polish": {"operator": "polish"}})
    drawable = drawable_operators(context, slot, engine, better)
    assert ("structure" in drawable, "polish" in drawable) == (others, alone)
    assert "deepen" not in drawable  # which nothing is left for
    assert better.take("structure", 2, 1) is None
    assert better.take("polish", 2, 1)["slot"] == "g2.c1"
    assert better.take("polish", 2, 2) is None
