"""Resolves an algorithm's name: a published score, a candidate's file, or a candidate of a run.

Candidates always run in the sandbox: a user's file is not trusted more than an agent's code.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autoprune.candidates.composition import defines
from autoprune.candidates.contract import MAX_SOURCE_BYTES, league_of
from autoprune.candidates.discovered import discovered, discovered_source
from autoprune.candidates.inlining import inlined
from autoprune.candidates.library import found_in, library
from autoprune.candidates.structure_contract import is_structured
from autoprune.config_sections import SandboxSettings
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.recipe import Recipe
from autoprune.keywords import did_you_mean
from autoprune.leagues import MASK_ONLY, League
from autoprune.pruning.allocation.table import OWN
from autoprune.pruning.scores import SCORES, choose_score
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.lookup import find_candidate
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.choose_sandbox import make_sandbox
from autoprune.syntax import NotPython
from autoprune.text_files import read_text_file

logger = logging.getLogger(__name__)
SUFFIX = ".py"


@dataclass(frozen=True)
class NamedAlgorithm:
    """An algorithm by name, which is not opened yet and has run no code.

    `source`: of a candidate, with the found functions that it uses inlined; None for a published score.
    `found`: the names of these functions.
    """

    name: str
    source: str | None = None
    found: tuple[str, ...] = ()

    @property
    def league(self) -> League:
        """`mask` for a published score; see `contract.league_of`."""
        return MASK_ONLY if self.source is None else league_of(self.source)

    @property
    def structured(self) -> bool:
        """Whether it is a candidate that ranks structures."""
        return self.source is not None and is_structured(self.source)


def find_algorithm(name: str) -> NamedAlgorithm:
    """The algorithm of a name: one of `pruning.scores.SCORES` (wanda, or wanda@matrix for another comparison group than
    the paper's), one of `candidates.discovered`, a path that ends in .py, or RUN:CANDIDATE (a slot such as g2.c1, the
    start of a content hash, or best). Raises UsageError for anything else.
    """
    source = _source(name)
    if source is None:
        return NamedAlgorithm(name)
    return of_source(_short(name), source)


def of_source(name: str, source: str) -> NamedAlgorithm:
    """A candidate's source as an algorithm. Found functions that it uses are inlined."""
    functions = library()
    source = inlined(source, functions)
    return NamedAlgorithm(name, source, tuple(found_in(source, functions)))


@contextmanager
def open_algorithms(names: Sequence[str | NamedAlgorithm], settings: SandboxSettings) -> Iterator[list[Algorithm]]:
    """The named algorithms (see `find_algorithm`). Candidates get a sandbox, which is closed at the end.

    Raises UsageError for an unknown name before anything is started.
    """
    named = [find_algorithm(name) if isinstance(name, str) else name for name in names]
    if all(algorithm.source is None for algorithm in named):
        yield [Published.named(algorithm.name) for algorithm in named]
        return
    sandbox = make_sandbox(settings)
    try:
        yield [
            Published.named(algorithm.name)
            if algorithm.source is None
            else Candidate(algorithm.name, algorithm.source, sandbox, algorithm.found)
            for algorithm in named
        ]
    finally:
        sandbox.close()


def own_by_default(recipe: Recipe, allocation: str | None, algorithm: Algorithm) -> Recipe:
    """The recipe with the candidate's own `allocate`, if it has one and no allocation was given."""
    if allocation is not None or recipe.kept_of is not None or not isinstance(algorithm, Candidate):
        return recipe
    try:
        own = defines(algorithm.source, "allocate")
    except NotPython:  # the sandbox refuses it, with a reason
        own = False
    return replace(recipe, allocation=OWN) if own else recipe


def _source(name: str) -> str | None:
    """A candidate's source; None for a published score."""
    if name.partition("@")[0] in SCORES:
        choose_score(name)
        return None
    if name.endswith(SUFFIX):
        return _read(Path(name))
    if name in discovered():
        return discovered_source(name)
    run, colon, candidate = name.rpartition(":")
    if colon and run and candidate:
        return _of_run(Path(run), candidate)
    raise UsageError(
        f"unknown algorithm {name!r}; there are {', '.join(SCORES)} (also as NAME@row, NAME@matrix), "
        f"{''.join(f'{known}, ' for known in discovered())}a file that ends in .py, or RUN:CANDIDATE"
        f"{did_you_mean(name, (*SCORES, *discovered()))}"
    )


def _read(path: Path) -> str:
    text = read_text_file(path, "the algorithm")
    size = len(text.encode())
    if size > MAX_SOURCE_BYTES:
        raise UsageError(f"the algorithm {path} has {size} bytes; {MAX_SOURCE_BYTES} are allowed")
    return text


def _of_run(path: Path, candidate: str) -> str:
    run = RunDirectory.open(path)
    if schema := run.schema():
        logger.info(f"{run.path} contacts {schema.database.url}")
    archive = Archive.of(run)
    try:
        return run.source(find_candidate(archive, candidate).candidate)
    finally:
        archive.close()


def _short(name: str) -> str:
    return Path(name).stem if name.endswith(SUFFIX) else Path(name).name
