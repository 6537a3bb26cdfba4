"""Fences in a text that is perhaps not whole Markdown, as a model's thinking: where a fenced block begins and ends."""

import re
from typing import NamedTuple

_PREFIX = r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
_OPENING = re.compile(rf"^{_PREFIX}(?P<fence>`{{3,}}(?=[^`\n]*$)|~{{3,}})", re.MULTILINE)


class Fence(NamedTuple):
    """A fenced block: offsets of its first fence, of what it holds, and of its end."""

    start: int
    body: int
    end: int


def next_fence(text: str, place: int) -> Fence | None:
    """The first fenced block that begins at or after `place`; one that is not closed runs to the end of the text."""
    opening = _OPENING.search(text, place)
    if opening is None:
        return None
    body = text.find("\n", opening.end()) + 1 or len(text)
    closing = closing_line(opening["fence"]).search(text, body)
    return Fence(opening.start(), body, closing.end() if closing else len(text))


def closing_line(fence: str) -> re.Pattern[str]:
    """What closes a block that `fence` opened: as many of the same characters or more, alone on a line."""
    return re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
