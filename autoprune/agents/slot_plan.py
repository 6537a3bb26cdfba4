"""What one slot of a generation is to do, as plain data: the search plans it, proposers carry it out."""

from typing import NotRequired

from typing_extensions import TypedDict


class Left(TypedDict):
    """What is left of a run's budget; `minutes` None where they are not limited."""

    candidates: int
    minutes: float | None


class SlotPlan(TypedDict):
    """What one slot of a generation is to do.

    `parents` are names of algorithms (slots or seeds); `sections` those of the prompt that were drawn, absent where
    nothing was drawn and all are shown; `left` is what a strong model is told, as it was when this was planned.
    """

    slot: str
    generation: int
    operator: str
    engine: str
    parents: list[str]
    sections: NotRequired[list[str]]
    left: NotRequired[Left]
