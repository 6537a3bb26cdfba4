"""Python in a reply: parses text, and replaces characters that are not valid Python."""

import ast
import html
import re
import textwrap
from collections.abc import Iterator

from autoprune.syntax import parse

_SPACES = str.maketrans(
    dict.fromkeys("\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
    | dict.fromkeys("\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff", "")
)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d+\]:|\.\.\.:)(?: |$)(?P<code>.*)", re.MULTILINE)
_PUNCTUATION = str.maketrans("“”„«»‘’‚‛−–—×", '"""""\'\'\'\'---*')


def tree_of(source: str) -> ast.Module | None:
    """The syntax tree of a source; None if the parser fails."""
    try:
        return parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def plain_spaces(text: str) -> str:
    """The text with Unicode spaces replaced by plain ones, and without zero-width characters."""
    return text.translate(_SPACES)


def spellings(source: str) -> Iterator[str]:
    """A source, then versions with the effects of typesetting and nesting undone. The first valid one counts, so that
    characters within strings are kept if possible."""
    spaced = plain_spaces(source)
    yield from dict.fromkeys(
        [
            source,
            textwrap.dedent(source),
            spaced,
            textwrap.dedent(spaced),
            textwrap.dedent(spaced.translate(_PUNCTUATION)),
            html.unescape(textwrap.dedent(spaced)),
            _without_prompts(spaced),
        ]
    )


def _without_prompts(source: str) -> str:
    """The input lines of an interactive session; any other source unchanged."""
    if not re.match(r"\s*(?:>>>|In \[\d+\]:)", source):
        return source
    return "\n".join(line["code"] for line in _PROMPT.finditer(source))
