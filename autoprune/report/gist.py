"""The first sentences of a long text, for example a model's reasoning, and the length of the rest."""

import re

LONGEST = 600
"""Approximate characters of a gist."""
LINES = 12
REASONING = "reasoning"
"""The part of a thought that can be long."""
MOST_THOUGHT = 1_000_000
"""Maximum characters of it in a complete view."""
_SENTENCE = re.compile(r"[.!?][\"')\]]{0,2}(?=\s)")


def split(text: object, longest: int = LONGEST) -> tuple[str, str]:
    """The first sentences and the rest, which is empty if the text is not much longer than a gist."""
    whole = str(text).strip()
    head = "\n".join(whole[:longest].split("\n")[:LINES])
    if len(whole) <= longest * 4 // 3 and whole.count("\n") <= LINES:
        return whole, ""
    least = len(head) // 3
    sentences = [match.end() for match in _SENTENCE.finditer(whole[: len(head) + 1])]
    for ends in (sentences, [head.rfind("\n")], [head.rfind(" ")]):
        if ends and ends[-1] > least:
            return whole[: ends[-1]].rstrip(), whole[ends[-1] :].lstrip()
    return head, whole[len(head) :]


def gist(text: object, whole: str, longest: int = LONGEST) -> str:
    """The first sentences, and a line with the length of the rest. `whole`: the option that shows everything."""
    head, rest = split(text, longest)
    return f"{head}\n... {len(rest):,} characters more: {whole}" if rest else head
