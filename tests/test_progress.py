"""Bars and their remaining time: from steps of each kind, from a plan before that, in one display."""

import io
import logging

import pytest
from rich.console import Console

from autoprune.log import quiet
from autoprune.progress import Pace, hidden, new_display, progress, shown_in, steps, time_left


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def screen():
    return Console(file=io.StringIO(), width=100, force_terminal=True)


def drawn(display):
    console = Console(file=io.StringIO(), width=100)
    console.print(display.get_renderable())
    return " ".join(console.file.getvalue().split())


def test_before_the_first_step_the_plan_tells_the_time_and_without_a_plan_nothing(clock):
    assert Pace({"plain": 3}, {"plain": 10.0}, clock).remaining() == 30.0
    assert Pace({"plain": 3}, {}, clock).remaining() is None
    assert Pace({"plain": 3, "other": 1}, {"plain": 10.0}, clock).remaining() is None
    assert Pace({}, {}, clock).remaining() == 0.0


def test_what_was_timed_replaces_the_plan_and_scales_what_was_not(clock):
    pace = Pace({"plain": 3, "tuned": 1}, {"plain": 10.0, "tuned": 100.0}, clock)
    clock.now = 20.0
    pace.advance("plain")
    assert pace.remaining() == 2 * 20.0 + 200.0
    clock.now = 25.0
    assert pace.remaining() == 2 * 20.0 + 200.0 - 5.0


def test_a_kind_that_nobody_expected_takes_as_long_as_the_others(clock):
    pace = Pace({"plain": 1, "other": 2}, {}, clock)
    clock.now = 6.0
    pace.advance("plain")
    assert pace.remaining() == 12.0


def test_steps_from_a_cache_say_nothing_of_the_time(clock):
    pace = Pace({"plain": 4}, {"plain": 10.0}, clock)
    pace.advance("plain", timed=False)
    assert pace.remaining() == 30.0


@pytest.mark.parametrize("absurd", [1e300, float("inf"), float("nan")])
def test_absurd_expectations_are_no_time(clock, absurd):
    assert Pace({"plain": 4}, {"plain": absurd}, clock).remaining() is None


def test_a_step_that_takes_longer_than_expected_leaves_the_time_of_the_others(clock):
    pace = Pace({"plain": 2}, {"plain": 10.0}, clock)
    clock.now = 500.0
    assert pace.remaining() == 10.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.0, "59 s"), (61.0, "1 min"), (3590.0, "60 min"), (7800.0, "2 h 10 min")]
)
def test_the_remaining_time_reads_as_people_say_it(seconds, text):
    assert time_left(seconds) == text


def test_nested_bars_share_one_display_and_leave_it():
    display = new_display(screen())
    with shown_in(display), steps("baselines", {"a": 2, "b": 1}, expected={"a": 30.0, "b": 60.0}) as bar:
        with progress("statistics", 8, "windows") as advance:
            advance(2)
            assert "baselines" in drawn(display)
            assert "0/3" in drawn(display)
            assert "2 min left" in drawn(display)
            assert "2/8 windows" in drawn(display)
        bar.expect({"a": 1})
        assert "0/1" in drawn(display)
        assert "statistics" not in drawn(display)
    assert not display.tasks


def test_off_a_terminal_a_bar_is_at_most_a_line_for_each_tenth(caplog):
    with caplog.at_level(logging.DEBUG), steps("baselines", {"a": 2}) as bar, progress("x", 100, "rows") as advance:
        bar.advance("a")
        for _ in range(100):
            advance(1)
    assert [record.getMessage() for record in caplog.records] == [f"x: {n} of 100 rows" for n in range(10, 100, 10)]


def test_repeated_work_shows_no_bars():
    display = new_display(screen())
    with shown_in(display), quiet(), steps("baselines", {"a": 2}):
        assert not display.tasks


def test_work_in_the_background_shows_no_bars_but_keeps_its_lines(caplog):
    display = new_display(screen())
    with shown_in(display), hidden(), caplog.at_level(logging.INFO), progress("x", 10, "rows") as advance:
        advance(5)
        assert not display.tasks
    assert [record.getMessage() for record in caplog.records] == ["x: 5 of 10 rows"]


def test_what_later_steps_share_is_no_time_of_the_current_one(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("autoprune.progress.time.monotonic", clock)
    display = new_display(screen())
    with shown_in(display), steps("baselines", {"a": 3}) as bar:
        with progress("hessian", 1, "windows", once=True) as advance:
            clock.now += 100.0
            advance(1)
        clock.now += 3.0
        bar.advance("a")
        with progress("windows", 1, "windows") as advance:
            clock.now += 5.0
            advance(1)
        bar.advance("a")
        assert "2/3 4 s left" in drawn(display)
