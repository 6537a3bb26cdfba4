"""Finds fenced blocks in text that may not be valid Markdown as a whole, such as a model's thinking."""

import re
from typing import NamedTuple

_PREFIX = r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?"
_OPENING = re.compile(rf"^{_PREFIX}(?P<fence>`{{3,}}(?=[^`\n]*$)|~{{3,}})", re.MULTILINE)


class Fence(NamedTuple):
    """A fenced block: offsets of its opening fence, its content, and its end."""

    start: int
    body: int
    end: int


def next_fence(text: str, place: int) -> Fence | None:
    """The first fenced block that starts at or after `place`; without a closing fence it ends with the text."""
    opening = _OPENING.search(text, place)
    if opening is None:
        return None
    body = text.find("\n", opening.end()) + 1 or len(text)
    closing = closing_line(opening["fence"]).search(text, body)
    return Fence(opening.start(), body, closing.end() if closing else len(text))


def closing_line(fence: str) -> re.Pattern[str]:
    """Matches the closing line of a block that `fence` opened: at least as many of the same characters, alone."""
    return re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
