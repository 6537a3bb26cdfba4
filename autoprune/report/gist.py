"""The first sentences of a long text, and how much more there is: what a model thinks may fill many screens."""

import re

LONGEST = 600
"""Characters of a gist, about."""
LINES = 12
REASONING = "reasoning"
"""The part of a thought that may be long."""
MOST_THOUGHT = 1_000_000
"""Characters of it that are shown where everything is asked for."""
_SENTENCE = re.compile(r"[.!?][\"')\]]{0,2}(?=\s)")


def split(text: object, longest: int = LONGEST) -> tuple[str, str]:
    """The first sentences and the rest, which is empty for a text that is not much longer than a gist."""
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
    """The first sentences, and a line that says how much more there is. `whole`: what shows all of it."""
    head, rest = split(text, longest)
    return f"{head}\n... {len(rest):,} characters more: {whole}" if rest else head
