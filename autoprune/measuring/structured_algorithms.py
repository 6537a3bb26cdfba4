"""Resolves the name of an algorithm that ranks structures: a published method, a candidate's file, or one of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from autoprune.config_sections import SandboxSettings
from autoprune.errors import UsageError
from autoprune.evaluation.structured_recipe import PublishedStructured, RanksStructures
from autoprune.measuring.algorithms import SUFFIX, NamedAlgorithm, find_algorithm
from autoprune.pruning.structures.table import NAMES
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.choose_sandbox import make_sandbox


@contextmanager
def open_structured(names: Sequence[str], settings: SandboxSettings) -> Iterator[list[RanksStructures]]:
    """The named algorithms. Candidates get a sandbox, which is closed at the end.

    Raises UsageError for an unknown name, for two of the same name, or for one that scores single weights, before
    anything is started.
    """
    found = [None if name in NAMES else _candidate(name) for name in names]
    shown = [name if candidate is None else candidate.name for name, candidate in zip(names, found, strict=True)]
    if twice := sorted({name for name in shown if shown.count(name) > 1}):
        raise UsageError(f"two algorithms have the name {twice[0]}; rename one of the files")
    if not any(found):
        yield [PublishedStructured(name) for name in names]
        return
    sandbox = make_sandbox(settings)
    try:
        yield [
            PublishedStructured(name)
            if candidate is None
            else Candidate(candidate.name, candidate.source or "", sandbox, candidate.found)
            for name, candidate in zip(names, found, strict=True)
        ]
    finally:
        sandbox.close()


def _candidate(name: str) -> NamedAlgorithm:
    if not name.endswith(SUFFIX) and ":" not in name:
        raise UsageError(
            f"unknown structured algorithm {name!r}; there are {', '.join(NAMES)}, a file that ends in .py, or "
            "RUN:CANDIDATE"
        )
    algorithm = find_algorithm(name)
    if not algorithm.structured:
        raise UsageError(f"{name} scores single weights: it defines no STRUCTURE, which --structure needs")
    return algorithm
