"""Processing layers in parallel threads, which use all cores since numpy and torch release the GIL."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")

MOST = 4
"""Maximum number of threads."""

AHEAD = 2
"""Items in progress per thread, enough to keep the cores busy with little memory."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context, torch uses one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Yield `make(item)` for each item, in order, computed in threads.

    `items` is iterated in the caller's thread. Exceptions of `make` are raised in place of its result.
    """
    threads = min(os.cpu_count() or 1, MOST)
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
