"""Making any text safe to show: what an LLM or a candidate wrote is never markup and never moves the cursor."""

import re
import unicodedata

from rich.text import Text

LONGEST = 4000
_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def visible(text: object, longest: int = LONGEST) -> str:
    """The text without control characters, text-direction overrides and what no XML may hold, cut to `longest`."""
    whole = str(text)
    kept = _printable(whole[: longest + 1])
    return kept if len(whole) <= longest else kept[:longest] + "…"


def _printable(text: str) -> str:
    if text.isascii():  # nearly every text, and long ones are many
        return _ASCII_CONTROLS.sub("", text)
    return "".join(c for c in text if c in "\n\t" or not _unprintable(c))


def _unprintable(character: str) -> bool:
    return character in "\ufffe\uffff" or unicodedata.category(character) in ("Cc", "Cf", "Cs")


def plain(text: object, style: str = "", longest: int = LONGEST) -> Text:
    """A rich Text of it: never parsed as markup."""
    return Text(visible(text, longest), style=style)


def one_line(text: object, longest: int = 200) -> str:
    """The text on one line, of at most `longest` characters."""
    line = " ".join(visible(text, longest * 4).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def duration(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
