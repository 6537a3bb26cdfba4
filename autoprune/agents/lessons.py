"""The lessons of a run for a prompt: all of them, and each sentence once."""

import re
from collections.abc import Sequence

_REFERENCES = re.compile(r"\[[^\]]*\]")
"""Names of nodes in brackets, which differ where a lesson is repeated."""
_WORDS = re.compile(r"[\w%]+(?:[.,]\d+)*")


def lessons(sentences: Sequence[tuple[str, str]]) -> str:
    """One line for each lesson. `sentences`: (node, text), oldest first; a repeated text is shown where it is first."""
    shown: set[tuple[str, ...]] = set()
    by_lesson: dict[str, list[str]] = {}
    for node, text in sentences:
        if (words := _normalised(text)) not in shown:
            shown.add(words)
            by_lesson.setdefault(re.sub(r"(\.lesson)\.\d+$", r"\1", node), []).append(text)
    return "\n".join(f"- [{node}] {' '.join(texts)}" for node, texts in by_lesson.items()) or "(nothing yet)"


def _normalised(text: str) -> tuple[str, ...]:
    """The words and numbers of a sentence: without case, punctuation, and references."""
    return tuple(_WORDS.findall(_REFERENCES.sub(" ", text).casefold()))
