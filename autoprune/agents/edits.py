"""Edits in a reply: SEARCH/REPLACE blocks, which change a source without repeating it.

A block has a line `<<<<<<< SEARCH`, lines of the source, a line `=======`, the lines in their place, and a line
`>>>>>>> REPLACE`. A line `EDITS: [g2.c1]` names the candidate whose source they change, so that the same reply means
the same where other candidates are ahead, as in a replay on another machine.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autoprune.agents.population import Algorithm

_SEARCH = re.compile(r"<{5,9}\s*SEARCH\s*")
_MIDDLE = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9}\s*REPLACE\s*")
_NAMED = re.compile(r"^\W*EDITS\W*:\W*(g\d+\.c\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Edit:
    search: list[str]
    replace: list[str]


def has_edits(text: str) -> bool:
    """Whether a line of the text begins a SEARCH/REPLACE block."""
    return any(_SEARCH.fullmatch(line) for line in text.splitlines())


def outside_edits(text: str) -> str:
    """The text with spaces in place of its blocks, so that all else stays where it is."""
    lines, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = inside or bool(_SEARCH.fullmatch(line))
        lines.append(re.sub(r"\S", " ", line) if inside else line)
        inside = inside and not _REPLACE.fullmatch(line)
    return "".join(lines)


def named_source(text: str, known: Sequence[Algorithm]) -> str | None:
    """The source of the candidate that the text says it edits; None if it names none that is known."""
    named = [match[1] for match in _NAMED.finditer(text)]
    return next((algorithm.source for algorithm in known if algorithm.name in named[-1:]), None)


def edited(text: str, source: str | None) -> str:
    """The source after all edits in the text, in their order.

    SEARCH lines are whole lines; spaces at their ends do not count. Raises ValueError with the number of the edit and
    the reason if a block is incomplete, or if its SEARCH lines do not occur exactly once in the source. So it does if
    the source is None.
    """
    if source is None:
        raise ValueError("there is no source to edit: send the whole file")
    lines = source.splitlines()
    for number, edit in enumerate(_edits(text), start=1):
        wanted = [line.rstrip() for line in edit.search]
        if not any(wanted):
            raise ValueError(f"edit {number} has no SEARCH lines")
        present = [line.rstrip() for line in lines]
        places = [start for start in range(len(lines)) if present[start : start + len(wanted)] == wanted]
        if len(places) != 1:
            first = next(line.strip() for line in wanted if line)
            raise ValueError(
                f"the SEARCH lines of edit {number} ({first[:60]!r} ...) occur {len(places)} times in the source, "
                "not once"
            )
        lines[places[0] : places[0] + len(wanted)] = edit.replace
    return "\n".join(lines) + "\n"


def _edits(text: str) -> list[Edit]:
    edits: list[Edit] = []
    search: list[str] | None = None
    replace: list[str] | None = None
    for line in text.splitlines():
        if _SEARCH.fullmatch(line):
            if search is not None:
                break
            search = []
        elif search is not None and replace is None and _MIDDLE.fullmatch(line):
            replace = []
        elif search is not None and replace is not None and _REPLACE.fullmatch(line):
            edits.append(Edit(search, replace))
            search = replace = None
        elif replace is not None:
            replace.append(line)
        elif search is not None:
            search.append(line)
    if search is not None:
        raise ValueError(f"edit {len(edits) + 1} is incomplete: SEARCH, =======, REPLACE each have a line of their own")
    return edits
