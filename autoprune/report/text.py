"""Making untrusted text safe to show, so that it is never markup and does not control the terminal, and shorter."""

import re
from collections.abc import Callable

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


class Replacements(dict[int, str]):
    """A cache of the replacement for each hidden character, since long texts have few distinct ones."""

    def __init__(self, replacement: Callable[[str], str]) -> None:
        super().__init__()
        self._replacement = replacement

    def __missing__(self, point: int) -> str:
        character = chr(point)
        self[point] = self._replacement(character) if character in "\ufffe\uffff" or hides(character) else character
        return self[point]


_SAFE = Replacements(lambda character: " " if character in "\u2028\u2029" else "")


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


GIST = 600
"""Approximate characters of a gist."""
GIST_LINES = 12
REASONING = "reasoning"
"""The part of a thought that can be long."""
MOST_THOUGHT = 1_000_000
"""Maximum characters of it in a complete view."""
_SENTENCE = re.compile(r"[.!?][\"')\]]{0,2}(?=\s)")


def split(text: object, longest: int = GIST) -> tuple[str, str]:
    """The first sentences and the rest, which is empty if the text is not much longer than a gist."""
    whole = str(text).strip()
    head = "\n".join(whole[:longest].split("\n")[:GIST_LINES])
    if len(whole) <= longest * 4 // 3 and whole.count("\n") <= GIST_LINES:
        return whole, ""
    least = len(head) // 3
    sentences = [match.end() for match in _SENTENCE.finditer(whole[: len(head) + 1])]
    for ends in (sentences, [head.rfind("\n")], [head.rfind(" ")]):
        if ends and ends[-1] > least:
            return whole[: ends[-1]].rstrip(), whole[ends[-1] :].lstrip()
    return head, whole[len(head) :]


def gist(text: object, whole: str, longest: int = GIST) -> str:
    """The first sentences, and a line with the length of the rest. `whole`: the option that shows everything."""
    head, rest = split(text, longest)
    return f"{head}\n... {len(rest):,} more characters: {whole}" if rest else head
