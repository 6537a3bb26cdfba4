"""Token counts and prices from endpoints and old records: used if plausible, else estimated."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

CHARS_PER_TOKEN = 4
MOST_TOKENS = 1_000_000
"""Tokens of one call. Prompts have thousands of tokens, so a larger count is an error of the endpoint."""
MOST_TOTAL = 10**12
MOST_USD = 1e6


def is_count(value: Any, most: int = MOST_TOKENS) -> bool:
    """Whether a value is a whole number from 0 to `most`; True and 3.0 are not."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def stated(usage: Any) -> dict[str, int] | None:
    """The plausible counts of a reply under OpenAI's names, a missing one computed from the total, or 0 if unknown.

    None if no count is known.
    """
    if not isinstance(usage, dict):
        return None
    read, written, total = (
        next((usage[name] for name in names if is_count(usage.get(name))), None)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
    )
    if total is not None:
        if read and total >= read + (written or 0):
            # Some (Gemini, Grok) count thinking only in the total, and charge for it like for output.
            written = total - read
        elif written is not None and not read and total > written:
            read = total - written
    read, written = read or 0, written or 0
    if not (read or written or total):
        return None
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": max(read + written, total or 0)}


def counted(usage: Any, prompt_chars: int, reply_chars: int) -> tuple[int, int, bool]:
    """Tokens read and written, and whether they are estimated, from langchain's usage of a reply.

    A count of 0 for non-empty text counts as unknown. With only the total, the rest after the prompt was written.
    """
    read, written, total = (usage[f"{part}_tokens"] for part in ("input", "output", "total")) if usage else (0, 0, 0)
    if read and (written or not reply_chars):
        return read, written, False
    read = read or max(1, prompt_chars // CHARS_PER_TOKEN)
    return read, written or max(reply_chars // CHARS_PER_TOKEN, int(reply_chars > 0), total - read), True


def _total(value: Any) -> Any:
    """A number of an earlier version's record that cannot be a count says nothing."""
    return 0 if isinstance(value, int | float) and not is_count(value, MOST_TOTAL) else value


def _price(value: Any) -> Any:
    possible = value is None or not isinstance(value, int | float) or (0 <= value <= MOST_USD and math.isfinite(value))
    return value if possible else None


Tokens = Annotated[int, BeforeValidator(_total)]
"""A recorded count."""
Usd = Annotated[float | None, BeforeValidator(_price)]
"""A recorded price in US dollars; None = unknown."""
