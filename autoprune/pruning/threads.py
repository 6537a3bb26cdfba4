"""Layers side by side: numpy and torch let go of the interpreter while they work, so threads make use of every core."""

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
"""Threads, at most."""

AHEAD = 2
"""Items per thread under way: enough to keep the cores busy, few enough to hold in memory."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch uses one thread within."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """`make(item)` for each item, in order, made in threads while further items are taken from `items`.

    Items are taken in the caller's thread. What `make` raises is raised where its result would come.
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
