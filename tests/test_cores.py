"""The number of threads: from OMP_NUM_THREADS, within the cores of the machine."""

import os

import pytest

from autoprune.cores import asked_threads, sandbox_threads, usable_cores


@pytest.mark.parametrize(("text", "asked"), [("3", 3), (" 2,1", 2), ("", None), ("0", None), ("many", None)])
def test_threads_are_those_of_the_variable_that_torch_reads(monkeypatch, text, asked):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert asked_threads() == asked


def test_a_candidate_gets_no_more_threads_than_there_are_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert sandbox_threads() == os.cpu_count()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert sandbox_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert sandbox_threads() == os.cpu_count()


def test_cores_are_those_we_may_use():
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
