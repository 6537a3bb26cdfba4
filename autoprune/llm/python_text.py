"""Python in a reply: whether a text is any, and the characters that are no Python made plain."""

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
    """The syntax tree of a source; None if it is no Python, or such as the parser gives up on."""
    try:
        return parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def plain_spaces(text: str) -> str:
    """The text with plain spaces for Unicode's others, and without those of no width."""
    return text.translate(_SPACES)


def spellings(source: str) -> Iterator[str]:
    """A source as it stands, then with what typesetting and nesting did to it undone, step by step.

    The first of them that is Python is meant: a string's own characters are left alone where they do no harm.
    """
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
    """What was typed in a session that a source recalls; any other source as it is."""
    if not re.match(r"\s*(?:>>>|In \[\d+\]:)", source):
        return source
    return "\n".join(line["code"] for line in _PROMPT.finditer(source))
