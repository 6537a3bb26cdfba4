"""Dealing rows of text out to splits that share no paragraph and no sentence, however often the rows repeat themselves.

Of what is repeated within the text the first copy stays. A sentence that two different paragraphs share stays in one
split only: `made_disjoint` leaves it out of the others.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

SEPARATOR = "\n\n"
LEAST_ROWS = 3
"""Rows that a split must get. Of fewer the paragraphs are dealt out, of few paragraphs contiguous parts."""
LEAST_WORDS, LEAST_BYTES = 4, 24
"""A sentence has so many of one or the other (there are languages without spaces). What is shorter recurs by chance."""
_CLOSING = "\"')\\]”’»›」』）"
_AROUND = re.compile(r"^\W+|\W+$")
_BOUNDARY = re.compile(rf"[.!?…؟।][{_CLOSING}]*\s+|[。！？]+[{_CLOSING}]*\s*|\n\s*\n\s*")
"""Where a sentence ends: at a mark, the quotes and brackets that close behind it, and the space after it, or at an
empty line."""


def deal_out(rows: Iterable[str], parts: int) -> list[str]:
    """The texts of so many splits, from rows in turn. What has been said in an earlier paragraph is left out."""
    seen: set[str] = set()
    of_rows = [new_paragraphs(row, seen) for row in rows]
    fresh = [SEPARATOR.join(paragraphs) for paragraphs in of_rows if paragraphs]
    if len(fresh) < LEAST_ROWS * parts:
        fresh = [paragraph for paragraphs in of_rows for paragraph in paragraphs]
    if len(fresh) >= LEAST_ROWS * parts:
        return made_disjoint(every_nth(fresh, parts))
    text = without(SEPARATOR.join(fresh), set(), once=True)
    size = len(text) // parts
    return [text[part * size : (part + 1) * size] for part in range(parts)]


def deal_out_whole(rows: Iterable[str], parts: int) -> list[str]:
    """The same from rows that must stay as they are, chats say: of equal ones the first stays, and no part is cut."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(" ".join(row.split()), row)
    return every_nth(list(first.values()), parts)


def every_nth(rows: Sequence[str], parts: int) -> list[str]:
    """Rows dealt out in turn, so that the splits are alike."""
    return [SEPARATOR.join(rows[part::parts]) for part in range(parts)]


def new_paragraphs(text: str, seen: set[str]) -> list[str]:
    """The paragraphs that were not seen before, whatever their spaces and line breaks; they are now."""
    fresh = []
    for paragraph in text.split(SEPARATOR):
        words = " ".join(paragraph.split())
        if words and words not in seen:
            seen.add(words)
            fresh.append(paragraph)
    return fresh


def made_disjoint(texts: Sequence[str]) -> list[str]:
    """The texts, each without the sentences and lines of those after it. The last one stays as it is."""
    later_sentences: set[str] = set()
    kept = list(texts[-1:])
    for text, after in zip(texts[-2::-1], texts[:0:-1], strict=True):
        later_sentences |= sentences(after)
        kept.append(without(text, later_sentences))
    return kept[::-1]


def without(text: str, excluded: set[str], once: bool = False) -> str:
    """The text without the known `sentences`; `once`: of its own, too, the first copies only."""
    excluded = set(excluded) if once else excluded
    kept: list[str] = []
    for piece in _pieces(text):
        left = piece if sentence_key(piece) not in excluded else ""
        if left and _wrapped(piece):
            left = "".join(_unknown(piece.splitlines(keepends=True), excluded, once))
        if left:
            kept.append(left)
        elif kept and piece.endswith(SEPARATOR):
            kept[-1] = kept[-1].rstrip() + SEPARATOR
        if once:
            excluded |= _keys(piece)
    return "".join(kept)


def _unknown(lines: Iterable[str], excluded: set[str], once: bool) -> Iterator[str]:
    for line in lines:
        key = sentence_key(line)
        if key not in excluded:
            yield line
        if once and key:
            excluded.add(key)


def sentences(text: str) -> set[str]:
    """The sentences of a text, and its lines, whatever their spaces; none that is short enough to recur by chance."""
    return set().union(*map(_keys, _pieces(text)))


def _pieces(text: str) -> Iterator[str]:
    """The text, cut behind every sentence."""
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
    """A sentence with single spaces, without the quotes and bullets around it; empty where it is short."""
    key = _AROUND.sub("", " ".join(piece.split()))
    words = key.split()
    return key if len(words) >= LEAST_WORDS or len(key.encode(errors="replace")) >= LEAST_BYTES else ""
