"""`autoprune.load_algorithm`."""

from pathlib import Path

from autoprune.errors import UsageError
from autoprune.measuring.algorithms import NamedAlgorithm, find_algorithm

AlgorithmLike = str | Path | NamedAlgorithm
"""A name, a file, or what `load_algorithm` returned."""


def load_algorithm(name: AlgorithmLike) -> NamedAlgorithm:
    """Find a pruning algorithm by its name, which `prune` and `compare` accept as well.

    `name`: a published score (`wanda`, or `wanda@matrix` for another comparison group), a discovered algorithm
    (`matrix_admm`), a file that ends in .py, or RUN:CANDIDATE (`runs/mine:best`). Nothing of it is run: a file's code
    only ever runs in the sandbox, in `prune` and `compare`. Raises UsageError for an unknown name or a file that cannot
    be read.
    """
    if isinstance(name, NamedAlgorithm):
        return name
    if not isinstance(name, str | Path):
        raise UsageError(f"the algorithm is a {type(name).__name__}; give a name, a file, or load_algorithm(...)")
    return find_algorithm(str(name))
