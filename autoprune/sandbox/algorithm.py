"""A candidate as an algorithm like any other: what scores runs in the sandbox."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from autoprune.candidates.contract import expensive_fields_named
from autoprune.pruning.layers import Readable
from autoprune.sandbox.base import Sandbox, Session


@dataclass(frozen=True)
class Candidate:
    """A candidate's source, and the sandbox in which it scores."""

    name: str
    source: str
    sandbox: Sandbox

    @property
    def needs(self) -> tuple[str, ...]:
        """The on-demand statistics that the source names."""
        return expensive_fields_named(self.source)

    def open(self, readable: Readable) -> AbstractContextManager[Session]:
        """A process of its own that reads the bundle's files and hands out scores. Raises CandidateFailure."""
        return self.sandbox.open(self.source, readable.path)
