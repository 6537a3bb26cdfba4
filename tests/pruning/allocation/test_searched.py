import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.errors import UsageError
from autoprune.pruning.allocation.searched import Rung, mutate, searched

UNITS = st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


@given(UNITS, st.integers(0, 10**6))
def test_a_mutation_keeps_the_budget_and_the_limits(units, seed):
    sizes = [n for n, _, _ in units]
    floors = [int(n * share) for n, share, _ in units]
    zeros = [low + int((n - low) * share) for (n, _, share), low in zip(units, floors, strict=True)]
    changed = mutate(zeros, sizes, floors, random.Random(seed))
    assert sum(changed) == sum(zeros)
    assert all(low <= count <= n for low, count, n in zip(floors, changed, sizes, strict=True))


def far_from(goal: list[int]):
    calls: list[tuple[tuple[int, ...], int]] = []

    def evaluate(zeros: tuple[int, ...], windows: int) -> float:
        calls.append((zeros, windows))
        return sum((count - want) ** 2 for count, want in zip(zeros, goal, strict=True))

    return evaluate, calls


def test_the_search_walks_to_a_better_allocation_on_the_same_budget():
    sizes, start, goal = [1000, 2000, 1000, 500], [600, 1200, 600, 300], [800, 900, 700, 300]
    evaluate, _ = far_from(goal)
    found = searched(start, sizes, evaluate, generations=60, seed=1)
    assert sum(found.zeros) == sum(start)
    assert found.loss < 0.02 * evaluate(tuple(start), 1)
    assert found.losses == sorted(found.losses, reverse=True)


def test_offspring_are_rejected_early_and_nothing_is_measured_twice():
    evaluate, calls = far_from([700, 500])
    rungs = (Rung(1, 3), Rung(4, 1), Rung(16, 1))
    searched([600, 600], [1000, 1000], evaluate, rungs, generations=5, offspring=10, seed=0)
    asked = [windows for _, windows in calls]
    assert asked.count(4) <= 5 * 3
    assert asked.count(16) <= 5 + 1
    assert len(set(calls)) == len(calls)


def test_the_search_is_deterministic_in_its_seed():
    runs = [searched([60, 60, 60], [100] * 3, far_from([90, 50, 40])[0], generations=8, seed=s) for s in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0].losses != runs[2].losses


def test_one_unit_has_nothing_to_swap():
    assert searched([60], [100], far_from([60])[0]).zeros == (60,)


def test_a_start_outside_its_limits_is_refused():
    with pytest.raises(UsageError, match="inside its limits"):
        searched([110], [100], far_from([0])[0])
