"""What a worker says of its own time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Claims:
    """What the worker says about its time, in seconds: for a benchmark, never for a judgement."""

    own: float = 0.0
    """Wall clock inside the candidate's `score`."""
    own_processor: float = 0.0
    """Processor time inside it, of all threads."""
    processor: float = 0.0
    """Processor time of the worker since it was handed the candidate."""

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take up one answer; what is not a number counts as nothing."""
        own, own_processor, processor = (
            value if isinstance(value := answer.get(key), float) else 0.0
            for key in ("own", "own_processor", "processor")
        )
        self.own += own
        self.own_processor += own_processor
        self.processor = max(self.processor, processor)
