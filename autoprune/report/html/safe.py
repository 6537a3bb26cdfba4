"""Values that are safe for a page: bounded texts, finite numbers, escaped JSON, and settings without private data."""

import json
import math
import re
from pathlib import Path
from typing import Any

from autoprune.report.text import visible

_ESCAPED = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_PATH = re.compile(r"(?<![\w/.:~])/(?:[^\s/'\"]+/)+(?=[^\s/'\"])")
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")


def cut(text: object, longest: int) -> str:
    """The text without control characters, cut to `longest` characters with a note."""
    whole = str(text)
    kept = visible(whole[:longest], longest)
    return kept if len(whole) <= longest else f"{kept}\n[cut: {longest:,} of {len(whole):,} characters are shown]"


def to_json(value: Any) -> str:
    """Compact JSON, to be `escaped` before it is put into a page."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def escaped(text: str) -> str:
    """JSON for a `<script>` element, without characters that could end the element or a line."""
    for character, escape in _ESCAPED.items():  # many times as fast as one `translate` of megabytes
        text = text.replace(character, escape)
    return text


def number(value: Any, digits: int = 7) -> float | None:
    """The number with `digits` significant digits; None for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def shareable(value: object) -> str:
    """A setting as text: of a path only the last part, of an address neither user nor password."""
    text = visible(value, 1000)
    if Path(text).is_absolute():
        return Path(text).name
    return _USER_IN_URL.sub("", text)


def without_folders(text: str) -> str:
    """A text with only the last part of every path."""
    return _PATH.sub("", text)
