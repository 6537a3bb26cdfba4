"""Work side by side: order, errors, and how far ahead it runs."""

import os
import threading

import pytest

from autoprune.pruning.threads import AHEAD, MOST, side_by_side


def test_results_come_in_order_whatever_takes_how_long():
    turns = [threading.Event() for _ in range(6)]
    turns[1].set()

    def make(number: int) -> int:
        # Even ones wait for their right neighbour, so that they end after it.
        if number % 2 == 0 and (os.cpu_count() or 1) > 1:
            assert turns[number + 1].wait(timeout=10)
        turns[number].set()
        return number * number

    assert list(side_by_side(make, range(6))) == [0, 1, 4, 9, 16, 25]


def test_items_are_taken_in_the_callers_thread_and_only_a_few_ahead():
    taken: list[int] = []

    def items():
        for number in range(100):
            assert threading.current_thread() is threading.main_thread()
            taken.append(number)
            yield number

    results = side_by_side(lambda number: number, items())
    assert next(results) == 0
    assert len(taken) <= AHEAD * MOST + 1
    assert list(results) == list(range(1, 100))


def test_an_error_is_raised_where_its_result_would_come():
    results = side_by_side(lambda number: 1 // (2 - number), range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
