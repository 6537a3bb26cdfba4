"""Names of a run's slots and of the nodes of its reasoning graph: g2.c1, g2.c1.idea, g2.lesson."""

import re
from typing import Literal, NamedTuple

Part = Literal["idea", "design", "evidence"]
"""Nodes of one slot in addition to the algorithm, which has the name of the slot."""
_SLOT = re.compile(r"g(\d+)\.c(\d+)")
_GENERATION = re.compile(r"g(\d+)(?:\.c\d+)?")
_THOUGHT = re.compile(r"g\d+\.c\d+\.propose\.\d+\.thought")


class SlotId(NamedTuple):
    """One place for a candidate. Archive, events and graph store `str(slot)`."""

    generation: int
    place: int

    def __str__(self) -> str:
        return f"{generation_id(self.generation)}.c{self.place}"

    @classmethod
    def parse(cls, text: str) -> "SlotId":
        """Raises ValueError for a name that is not a slot."""
        if (match := _SLOT.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is no slot, as g2.c1 is one")
        return cls(int(match[1]), int(match[2]))


def generation_id(generation: int) -> str:
    return f"g{generation}"


def generation_of(name: str) -> int | None:
    """The generation of a slot, a node or a question; None for other names."""
    match = _GENERATION.match(name)
    return int(match[1]) if match else None


def owner_of(question: str) -> str | None:
    """The slot or the generation of a question to a chat model: `g2.c1` for `g2.c1.propose.0.draft`."""
    match = _GENERATION.match(question)
    return match[0] if match else None


def asks_for_thought(question: str) -> bool:
    """Whether a question is the proposer's first one to a small model, whose prompt contains the chain of thought. A
    strong model is asked for thought and code at once."""
    return _THOUGHT.fullmatch(question) is not None


def node_id(algorithm: str, part: Part) -> str:
    """A node that belongs to an algorithm, whose own node is named after its slot or baseline."""
    return f"{algorithm}.{part}"


def lesson_id(generation: int, number: int = 1) -> str:
    return f"{generation_id(generation)}.lesson" + (f".{number}" if number > 1 else "")
