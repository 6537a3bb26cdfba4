"""Distributing rows of text to splits that share no paragraph and no sentence.

Of paragraphs that are repeated only the first copy is kept. A sentence that different paragraphs share is kept in one
split only (`made_disjoint`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence

SEPARATOR = "\n\n"
LEAST_ROWS = 3
"""Rows per split at least; with fewer, paragraphs are distributed, and with few paragraphs, contiguous parts."""
LEAST_WORDS, LEAST_BYTES = 4, 24
"""Minimum length of a sentence in words or bytes (some languages have no spaces); shorter ones recur by chance."""
_CLOSING = "\"')\\]”’»›」』）"
_AROUND = re.compile(r"^\W+|\W+$")
_BOUNDARY = re.compile(rf"[.!?…؟।][{_CLOSING}]*\s+|[。！？]+[{_CLOSING}]*\s*|\n\s*\n\s*")
"""The end of a sentence: a mark with closing quotes and brackets and the space after it, or an empty line."""


def deal_out(rows: Iterable[str], parts: int) -> list[str]:
    """Distribute rows to `parts` disjoint texts in turn, without repeated paragraphs."""
    seen: set[str] = set()
    of_rows = [new_paragraphs(row, seen) for row in rows]
    pieces = [SEPARATOR.join(paragraphs) for paragraphs in of_rows if paragraphs]
    if len(pieces) < LEAST_ROWS * parts:
        pieces = [paragraph for paragraphs in of_rows for paragraph in paragraphs]
    if len(pieces) >= LEAST_ROWS * parts:
        return made_disjoint(every_nth(pieces, parts))
    text = without(SEPARATOR.join(pieces), set(), once=True)
    size = len(text) // parts
    return [text[part * size : (part + 1) * size] for part in range(parts)]


def deal_out_whole(rows: Iterable[str], parts: int) -> list[str]:
    """Distribute rows that must not be split, for example chats, without duplicates."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(" ".join(row.split()), row)
    return every_nth(list(first.values()), parts)


def every_nth(rows: Sequence[str], parts: int) -> list[str]:
    """Distribute rows in turn, so that the splits are alike."""
    return [SEPARATOR.join(rows[part::parts]) for part in range(parts)]


def new_paragraphs(text: str, seen: set[str]) -> list[str]:
    """The paragraphs that are not in `seen`, ignoring whitespace; adds them to `seen`."""
    fresh = []
    for paragraph in text.split(SEPARATOR):
        words = " ".join(paragraph.split())
        if words and words not in seen:
            seen.add(words)
            fresh.append(paragraph)
    return fresh


def made_disjoint(texts: Sequence[str]) -> list[str]:
    """The texts, each without the sentences and lines of all later texts."""
    later_sentences: set[str] = set()
    kept = list(texts[-1:])
    for text, after in zip(texts[-2::-1], texts[:0:-1], strict=True):
        later_sentences |= sentences(after)
        kept.append(without(text, later_sentences))
    return kept[::-1]


def without(text: str, excluded: set[str], once: bool = False) -> str:
    """The text without the sentences in `excluded`; with `once`, also without repetitions of its own sentences."""
    excluded = set(excluded) if once else excluded
    kept: list[str] = []
    for piece in _pieces(text):
        left = piece if sentence_key(piece) not in excluded else ""
        if left and _wrapped(piece):
            left = "".join(_new_lines(piece.splitlines(keepends=True), excluded, once))
        if left:
            kept.append(left)
        elif kept and piece.endswith(SEPARATOR):
            kept[-1] = kept[-1].rstrip() + SEPARATOR
        if once:
            excluded |= _keys(piece)
    return "".join(kept)


def _new_lines(lines: Iterable[str], excluded: set[str], once: bool) -> Iterator[str]:
    for line in lines:
        key = sentence_key(line)
        if key not in excluded:
            yield line
        if once and key:
            excluded.add(key)


def sentences(text: str) -> set[str]:
    """The normalised sentences and lines of a text, without those that are short enough to recur by chance."""
    return set().union(*map(_keys, _pieces(text)))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        yield text[start : boundary.end()]
        start = boundary.end()
    if start < len(text):
        yield text[start:]


def _keys(piece: str) -> set[str]:
    lines = piece.splitlines() if _wrapped(piece) else ()
    return {key for part in (piece, *lines) if (key := sentence_key(part))}


def _wrapped(piece: str) -> bool:
    return "\n" in piece.rstrip()


def sentence_key(piece: str) -> str:
    """A sentence with normalised spaces, without surrounding quotes and bullets; empty if it is short."""
    key = _AROUND.sub("", " ".join(piece.split()))
    words = key.split()
    return key if len(words) >= LEAST_WORDS or len(key.encode(errors="replace")) >= LEAST_BYTES else ""
