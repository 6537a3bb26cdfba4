"""What a candidate's process has used, as seen from outside."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.local import LocalSandbox
from autoprune.sandbox.memory import Growth, figures
from tests.sandbox.candidates import WANDA
from tests.sandbox.conftest import ON_DOCKER, SETTINGS

MIB = 1 << 20
LAYER = "layers.0.q"
GREEDY = """import torch


def score(layer):
    return layer.weight.abs() + torch.zeros(24 << 20).fill_(2.0).max()
"""
"""Holds 96 MiB for a moment."""

HOARDING = """import torch


def score(layer):
    a = torch.rand(4096, 2300)
    h, kept = torch.rand(2300, 2300), []
    for _ in range(24):
        low, where = torch.addcmul(a, a, a).min(1)
        first = a.gather(1, where.unsqueeze(1)) * 0.5
        a.addcmul_(first, h[where])
        other, place = torch.addcmul(a, a, a).min(1)
        both = (low < other).unsqueeze(1)
        a.addcmul_(torch.where(both, first, -first), h[torch.where(low < other, place, where)])
        kept.append((where, place, both))
    return layer.weight.abs()
"""
"""Keeps 80 KiB of each of 24 rounds, in which matrices of 36 MiB come and go."""


def memory_of(sandbox: Sandbox, source: str, bundle: Path) -> int | None:
    """After one layer: what is freed between layers need not be used again by the next."""
    with sandbox.open(source, bundle) as session:
        [_] = session.scores({LAYER: 0.5}, [LAYER])
        return session.memory


@pytest.mark.parametrize("engine", ["local", pytest.param("docker", marks=ON_DOCKER)])
def test_memory_that_was_given_back_before_the_answer_counts(
    engine: str, bundle: Path, request: pytest.FixtureRequest
) -> None:
    sandbox: Sandbox = request.getfixturevalue(engine)
    least = [1 << 40, 1 << 40]
    for _ in range(3):  # how much of the libraries is mapped with them depends on what lies in the page cache just then
        measured = [memory_of(sandbox, source, bundle) for source in (WANDA, GREEDY)]
        assert None not in measured
        least = [min(before, now or 0) for before, now in zip(least, measured, strict=True)]
        modest, greedy = least
        if modest < 128 * MIB and 80 * MIB < greedy - modest < 256 * MIB:
            return
    raise AssertionError(f"{modest / MIB:.0f} MiB, and {greedy / MIB:.0f} with 96 more in between")


def test_small_results_of_many_rounds_do_not_hold_the_memory_of_large_ones(bundle: Path) -> None:
    with contextlib.closing(LocalSandbox(SETTINGS.model_copy(update={"seconds": 60.0}))) as patient:
        assert 0 < (memory_of(patient, HOARDING, bundle) or 0) < 400 * MIB


def test_a_candidate_cannot_make_its_peak_look_smaller(local: Sandbox, bundle: Path) -> None:
    attempt = "    open('/proc/self/clear_refs', 'w').write('5')\n"
    lines = GREEDY.replace("    return ", "    x = ")
    for_good = f"{lines}    try:\n    {attempt}    except OSError:\n        pass\n    return x\n"
    assert (memory_of(local, for_good, bundle) or 0) > 80 * MIB


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        growth = Growth(process.pid)
        assert growth.most() is not None
    assert growth.most() is None
    assert Growth(0).most() is None


def test_what_the_kernel_counts_in_kilobytes_is_read_as_bytes() -> None:
    counted = figures(os.getpid())
    assert counted["VmHWM"] >= counted["VmRSS"] > 10 * MIB
    assert 1 <= counted["Threads"] < 1000
