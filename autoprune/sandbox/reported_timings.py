"""What a worker says of its own time."""

from dataclasses import dataclass, field

from autoprune.sandbox.answers import Scored


@dataclass
class ReportedTimings:
    """What the worker says about its time, in seconds: for a benchmark, never for a judgement."""

    own: float = 0.0
    """Wall clock inside the candidate's `score`."""
    own_processor: float = 0.0
    """Processor time inside it, of all threads."""
    processor: float = 0.0
    """Processor time of the worker since it was handed the candidate."""
    by_role: dict[str, float] = field(default_factory=dict)
    """Of `own`, what the layers of each role took."""

    def add(self, answer: Scored, role: str) -> None:
        """Take up one answer, on a layer of this role."""
        self.own += answer.own
        self.by_role[role] = self.by_role.get(role, 0.0) + answer.own
        self.own_processor += answer.own_processor
        self.processor = max(self.processor, answer.processor)
