"""Resolves an algorithm's name: a published score, a candidate's file, or a candidate of a run.

Candidates always run in the sandbox: a user's file is not trusted more than an agent's code.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autoprune.candidates.composition import defines
from autoprune.candidates.contract import MAX_SOURCE_BYTES
from autoprune.candidates.discovered import discovered, discovered_source
from autoprune.candidates.inlining import inlined
from autoprune.candidates.library import found_in, library
from autoprune.config_sections import SandboxSettings
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.pruning.scores import SCORES, choose_score
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.lookup import find_candidate
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.choose_sandbox import make_sandbox
from autoprune.syntax import NotPython
from autoprune.text_files import read_text_file

logger = logging.getLogger(__name__)
SUFFIX = ".py"


@contextmanager
def open_algorithms(names: Sequence[str], settings: SandboxSettings) -> Iterator[list[Algorithm]]:
    """The named algorithms. Candidates get a sandbox, which is closed at the end.

    A name is one of `pruning.scores.SCORES` (wanda, or wanda@matrix for another comparison group than the paper's), one
    of `candidates.discovered`, a path that ends in .py, or RUN:CANDIDATE (a slot such as g2.c1, the start of a content
    hash, or best). Found functions that a candidate uses are inlined. Raises UsageError for an unknown name before
    anything is started.
    """
    sources = {name: _source(name) for name in names}
    if all(source is None for source in sources.values()):
        yield [Published.named(name) for name in names]
        return
    sandbox = make_sandbox(settings)
    try:
        yield [
            Published.named(name) if source is None else _candidate(name, source, sandbox)
            for name, source in sources.items()
        ]
    finally:
        sandbox.close()


def allocates(algorithm: Algorithm) -> bool:
    """Whether the algorithm is a candidate with an `allocate` of its own."""
    try:
        return isinstance(algorithm, Candidate) and defines(algorithm.source, "allocate")
    except NotPython:  # which the sandbox refuses with a reason
        return False


def _candidate(name: str, source: str, sandbox: Sandbox) -> Candidate:
    functions = library()
    source = inlined(source, functions)
    return Candidate(_short(name), source, sandbox, tuple(found_in(source, functions)))


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
