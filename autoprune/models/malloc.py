"""Freed memory is used again, where the C library would give it back.

A forward pass makes large tensors that live for a moment, the logits most of all. By default glibc maps memory for each
of more than 32 MB (smaller ones, too, at first) and unmaps it when it is freed, and the kernel zeroes every page at its
first use: on the CPU that is a sixth of a pass of a small model (`benchmarks/candidate_throughput.py` prints both).
"""

import ctypes
from functools import cache

# As in malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
LARGEST = 1 << 28
"""Bytes of a block up to which its memory is used again; larger ones are given back when freed."""
KEPT = 1 << 30
"""Bytes that are kept at the heap's end, at most."""


@cache
def keep_freed_memory() -> bool:
    """Once per process, before its threads allocate: one heap for all of them, and what is freed stays in it.

    False, and nothing changed, where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # A thread's own heap cannot hold large blocks, so that they would be mapped all the same.
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: LARGEST, _M_TRIM_THRESHOLD: KEPT}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
