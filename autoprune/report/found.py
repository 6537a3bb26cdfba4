"""What a search has found, for people: the best candidate's formula, and the sentence that the analyst wrote for it."""

from dataclasses import dataclass

from autoprune.report.picture import Picture
from autoprune.report.text import one_line

SAID = 1000
"""Characters of the sentence."""


@dataclass(frozen=True)
class Found:
    """`symbols`: those of the formula with their meaning; `by`: who wrote the sentence. Either may be empty."""

    slot: str
    formula: str
    symbols: list[tuple[str, str]]
    sentence: str
    by: str


def found(picture: Picture) -> Found | None:
    """Of the candidate that was explained, else of the best one; None where there is neither formula nor sentence."""
    told = picture.explained
    best = picture.best.slot if picture.best else ""
    name = one_line(told["slot"], 40) if told else best
    slot = picture.slots.get(name)
    sentence = one_line(told["text"], SAID) if told else ""
    if not sentence and not (slot and slot.formula):
        return None
    formula, symbols = (slot.formula, slot.symbols) if slot else ("", [])
    return Found(name, formula, symbols, sentence, one_line(told["by"], 80) if told else "")
