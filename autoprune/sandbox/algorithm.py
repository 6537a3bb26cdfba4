"""A candidate as an algorithm whose scores are computed in a sandbox."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from autoprune.candidates.contract import edits_defined, expensive_fields_named
from autoprune.candidates.parameters import UnusableParameters, middles, ranges, with_values
from autoprune.candidates.structure_contract import (
    StructureProblem,
    reads_influence,
    structures_ranked,
    updates_consumer,
)
from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import Readable, Session
from autoprune.sandbox.base import Sandbox


@dataclass(frozen=True)
class Candidate:
    """A candidate's source, and the sandbox in which it runs. `found`: the found functions that the source holds;
    `times`: a multiple of the sandbox's seconds."""

    name: str
    source: str
    sandbox: Sandbox
    found: tuple[str, ...] = ()
    times: float = 1.0
    spec = None

    @property
    def identity(self) -> str | None:
        return self.source

    @property
    def needs(self) -> tuple[str, ...]:
        """The on-demand statistics that occur in the source."""
        return expensive_fields_named(self.source)

    @property
    def edits_defined(self) -> frozenset[str]:
        return edits_defined(self.source)

    @property
    def ranks(self) -> tuple[str, ...]:
        """The kinds of structures that it ranks; none if it scores weights."""
        try:
            return structures_ranked(self.source)
        except StructureProblem:
            return ()

    @property
    def reads_influence(self) -> bool:
        return reads_influence(self.source)

    @property
    def updates(self) -> bool:
        """Whether it ranks structures and computes new weights of their consumers."""
        return bool(self.ranks) and updates_consumer(self.source)

    def rank(self, readable: Readable, held: object) -> AbstractContextManager[Session]:
        """`open`, for an algorithm that ranks structures; the trusted form of these is not read."""
        return self.open(readable)

    def open(self, readable: Readable) -> AbstractContextManager[Session]:
        """Start a sandboxed process that reads the bundle and computes scores. Raises CandidateFailure.

        Free parameters have the middles of their ranges.
        """
        try:
            source = with_values(self.source, middles(ranges(self.source)))
        except UnusableParameters as problem:
            raise CandidateFailure("screen", "contract", str(problem)) from None
        return self.sandbox.open(source, readable.path, self.times)
