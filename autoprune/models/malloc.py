"""Settings of glibc's malloc that keep freed memory for reuse.

A forward pass allocates large short-lived tensors, above all logits. By default glibc maps and unmaps memory for each
tensor of more than 32 MB, and the kernel zeroes every page at its first use, which takes a sixth of a pass of a small
model on the CPU (`benchmarks/candidate_throughput.py` prints both).
"""

import ctypes
from functools import cache

# As in malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
LARGEST = 1 << 28
"""Size in bytes up to which freed blocks are reused; larger ones are returned to the system."""
KEPT = 1 << 30
"""Maximum of the free memory that is kept at the end of the heap, in bytes."""


@cache
def keep_freed_memory() -> bool:
    """Use one heap for all threads and keep freed memory in it. Call it before threads allocate.

    Returns False, without effect, if the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # The heap of a single thread cannot hold large blocks, which would be mapped again.
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: LARGEST, _M_TRIM_THRESHOLD: KEPT}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
