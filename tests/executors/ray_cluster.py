"""A real Ray cluster on this machine, whose nodes have a cache of files of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch


@contextmanager
def ray_cluster(nodes: int, cache: Path) -> Iterator[str]:
    """Its address. Each node has room for one worker of as many threads as torch has here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOPRUNE_CACHE", str(cache))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray is kind to others on its machine, which here are the tests that wait for it.
        patch.setenv("RAY_worker_niceness", "0")
        from ray.cluster_utils import Cluster

        room = {"num_cpus": torch.get_num_threads(), "object_store_memory": 100 << 20}
        made = Cluster(initialize_head=True, head_node_args={**room, "include_dashboard": False})
        for _ in range(nodes - 1):
            made.add_node(**room)
    try:
        yield made.address
    finally:
        made.shutdown()
