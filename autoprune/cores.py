"""CPU threads of the sandbox, the workers and the local chat model: `OMP_NUM_THREADS`, as for torch, or a default."""

import os

import psutil


def asked_threads() -> int | None:
    """`OMP_NUM_THREADS`, the variable that limits torch's threads, too; None if it is not set to a number."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) else None


def sandbox_threads() -> int:
    """CPU threads of a candidate: no more than there are, since a container engine refuses more."""
    cores = os.cpu_count() or 1
    return min(asked_threads() or cores, cores)


def usable_cores() -> int:
    """The number of physical CPU cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))
