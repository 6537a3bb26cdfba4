"""Memory that freed tensors leave behind."""

import subprocess
import sys

import pytest

PROBE = """
import resource, sys, threading
import torch
from autoprune.models.malloc import LARGEST, keep_freed_memory
kept, size = sys.argv[1] == "kept", int(sys.argv[2]) << 20
assert not kept or keep_freed_memory()
def pages_touched(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def work():
    pages_touched(size + (1 << 20))  # an aligned block needs a little more than its size
    print(size // resource.getpagesize(), pages_touched(size))
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def touched_again(how: str, megabytes: int) -> float:
    """The share of a tensor's pages that the kernel provides anew when one that was a little larger was just freed."""
    command = [sys.executable, "-c", PROBE, how, str(megabytes)]
    pages, touched = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    return touched / pages


def test_freed_memory_is_used_again_in_any_thread() -> None:
    assert touched_again("kept", 100) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(("how", "megabytes"), [("as it is", 100), ("kept", 600)])
def test_without_it_and_for_very_large_tensors_memory_is_given_back(how: str, megabytes: int) -> None:
    # A small share is all of it where pages are huge.
    assert touched_again(how, megabytes) > 0.001
