"""How the slots of a run and the nodes of its reasoning graph are named: g2.c1, g2.c1.idea, g2.lesson."""

import re
from typing import Literal, NamedTuple

Part = Literal["idea", "design", "evidence"]
"""What one slot adds to the graph beside the algorithm, which has the name of the slot itself."""
_SLOT = re.compile(r"g(\d+)\.c(\d+)")
_GENERATION = re.compile(r"g(\d+)(?:\.c\d+)?")


class SlotId(NamedTuple):
    """One place for a candidate. Archive, events and graph hold it as text: `str(slot)`."""

    generation: int
    place: int

    def __str__(self) -> str:
        return f"{generation_id(self.generation)}.c{self.place}"

    @classmethod
    def parse(cls, text: str) -> "SlotId":
        """Raises ValueError for what names no slot."""
        if (named := _SLOT.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is no slot, as g2.c1 is one")
        return cls(int(named[1]), int(named[2]))


def generation_id(generation: int) -> str:
    """`g2`, as questions and answers about a whole generation are named."""
    return f"g{generation}"


def generation_of(name: str) -> int | None:
    """The generation of a slot, a node or a question; None for what belongs to none."""
    named = _GENERATION.match(name)
    return int(named[1]) if named else None


def owner_of(question: str) -> str | None:
    """The slot, or the generation, that a question to a chat model is about: `g2.c1` of `g2.c1.propose.0.draft`."""
    named = _GENERATION.match(question)
    return named[0] if named else None


def node_id(algorithm: str, part: Part) -> str:
    """The node of the graph beside an algorithm's, which is named as its slot or baseline is."""
    return f"{algorithm}.{part}"


def lesson_id(generation: int, number: int = 1) -> str:
    """The node of a generation's n-th lesson."""
    return f"{generation_id(generation)}.lesson" + (f".{number}" if number > 1 else "")
