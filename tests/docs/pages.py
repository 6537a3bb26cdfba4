"""The documentation as data: the fenced blocks, commands in the text, and links of README.md and docs/."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_TITLE = re.compile(r'title="([\w.-]+)"')


@dataclass(frozen=True)
class Block:
    """One block of code. `language` is empty when it has none; `title` is the file that the block stands for."""

    where: str
    language: str
    title: str | None
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, one a string: continued lines joined, blank ones and comments left out."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [line for line in lines if shlex.split(line, comments=True)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """Every block of a page in order, indented ones too, which have no language."""
    found = []
    for token in _tokens(page):
        if token.type in ("fence", "code_block") and token.map is not None:
            language, _, more = token.info.strip().partition(" ")
            title = _TITLE.search(more)
            where = f"{name_of(page)}:{token.map[0] + 1}"
            found.append(Block(where, language, title[1] if title else None, token.content))
    return found


def inline_code(page: Path) -> Iterator[str]:
    """What stands between single backquotes."""
    return (token.content for token in _inline(page) if token.type == "code_inline")


def links(page: Path) -> Iterator[str]:
    """Where the page's links and pictures lead."""
    for token in _inline(page):
        target = token.attrGet("href") or token.attrGet("src")
        if target is not None:
            yield str(target)


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def _inline(page: Path) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()
