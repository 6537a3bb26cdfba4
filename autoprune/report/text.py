"""Making untrusted text safe to show, so that it is never markup and does not control the terminal."""

import re

from rich.text import Text

from autoprune.syntax import hides

LONGEST = 4000
_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def visible(text: object, longest: int = LONGEST) -> str:
    """The text, cut to `longest`, without control and format characters, fillers, and what XML does not allow."""
    whole = str(text)
    kept = whole[: longest + 1]
    # ASCII is the usual case, which a regular expression handles faster.
    kept = _ASCII_CONTROLS.sub("", kept) if kept.isascii() else kept.translate(_SAFE)
    return kept if len(whole) <= longest else kept[:longest] + "…"


class _Safe(dict[int, str]):
    """A cache of the replacement for each character, since long texts have few distinct ones."""

    def __missing__(self, point: int) -> str:
        character = chr(point)
        unsafe = character in "\ufffe\uffff" or hides(character)
        self[point] = " " if character in "\u2028\u2029" else "" if unsafe else character
        return self[point]


_SAFE = _Safe()


def plain(text: object, style: str = "", longest: int = LONGEST) -> Text:
    """A rich Text that is not parsed as markup."""
    return Text(visible(text, longest), style=style)


def one_line(text: object, longest: int = 200) -> str:
    """The text on one line, of at most `longest` characters."""
    line = " ".join(visible(text, longest * 4).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def windows_of_text(windows: int, seqlen: int, bos: str | None) -> str:
    """The amount of text of a measurement, and the token before each window, if any."""
    return f"{windows} windows of {seqlen} tokens{f', each preceded by {bos}' if bos else ''}"


def duration(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
