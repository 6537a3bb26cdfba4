"""Whose turn it is, and the threads that torch's loops leave behind."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from autoprune.executors.compute_lock import ComputeLock, end_helpers

PROBE = """
import contextlib, os, sys, threading, time
import torch
from autoprune.executors.compute_lock import ComputeLock
turn = ComputeLock() if sys.argv[1] == "turn" else contextlib.nullcontext()
threads = lambda: len(os.listdir("/proc/self/task"))
at_first = threads()
def work():
    with turn:
        torch.ones(1 << 22).exp().sum()
for thread in (threading.Thread(target=work) for _ in range(2)):
    thread.start()
    thread.join()
work()
until = time.monotonic() + 3  # they are told to end, and take a moment
while (left := threads() - at_first) and time.monotonic() < until:
    time.sleep(0.01)
print(left)
"""


def left_behind(how: str) -> int:
    """Threads more than at first when the main one and two others have computed, one after the other."""
    command, environment = [sys.executable, "-c", PROBE, how], {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


GNU = sys.platform == "linux" and torch.backends.openmp.is_available() and end_helpers()


@pytest.mark.skipif(not GNU, reason="needs /proc and GNU's OpenMP")
def test_no_helpers_are_left_when_a_turn_is_over() -> None:
    assert left_behind("turn") == 0
    assert left_behind("none") > 0


def test_one_thread_has_the_turn_and_may_take_it_again() -> None:
    turn, order = ComputeLock(), []

    def other() -> None:
        with turn:
            order.append("other")

    thread = threading.Thread(target=other)
    with turn, turn:
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_failure_gives_the_turn_back() -> None:
    turn = ComputeLock()
    with pytest.raises(ValueError, match="broken"), turn:
        raise ValueError("broken")
    done: list[bool] = []

    def other() -> None:
        with turn:
            done.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(timeout=10)
    assert done
