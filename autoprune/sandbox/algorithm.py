"""A candidate as an algorithm whose scores are computed in a sandbox."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from autoprune.candidates.contract import edits_defined, expensive_fields_named
from autoprune.candidates.parameters import UnusableParameters, middles, ranges, with_values
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

    @property
    def needs(self) -> tuple[str, ...]:
        """The on-demand statistics that occur in the source."""
        return expensive_fields_named(self.source)

    @property
    def edits_defined(self) -> frozenset[str]:
        return edits_defined(self.source)

    def open(self, readable: Readable) -> AbstractContextManager[Session]:
        """Start a sandboxed process that reads the bundle and computes scores. Raises CandidateFailure.

        Free parameters have the middles of their ranges.
        """
        try:
            source = with_values(self.source, middles(ranges(self.source)))
        except UnusableParameters as problem:
            raise CandidateFailure("screen", "contract", str(problem)) from None
        return self.sandbox.open(source, readable.path, self.times)
