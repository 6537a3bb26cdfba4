"""Extracts a candidate's source from a reply: the last code block, by CommonMark's rules, that defines `score`.

Whether a block defines it is decided by its syntax tree, not by its label. Usage examples and formulas are skipped;
names that the block uses from other blocks (a helper, an import) are put in front of it.
"""

import ast
import html
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt

from autoprune.llm.definitions import FUNCTION, defined, segment, unbound
from autoprune.llm.fences import closing_line
from autoprune.llm.parse import clean
from autoprune.llm.python_text import plain_spaces, spellings, tree_of
from autoprune.syntax import NotPython, parse

ENTRY_POINTS = ("GROUP", "UNIT", "allocate")
"""Names that a candidate may define in addition to `score`."""
MOST_CLOSINGS = 20
MOST_STARTS = 40
NESTED = 3

# A tag alone on a line would make what follows an HTML block, fences and all.
_MARKDOWN = MarkdownIt("commonmark").disable(["html_block", "inline"])
_HTML_CODE = re.compile(r"<(pre|code)\b[^<>]*>")
_PYTHON = re.compile(r"[^\w]*(?:$|py)", re.IGNORECASE)
_LABEL_LINE = re.compile(r"\A\s*(?:python3?|py)[ \t]*\n", re.IGNORECASE)
_LATE_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})\s*\Z")
_FENCE_LINE = re.compile(r"\s*(?:`{3,}|~{3,})[^`]*")
_WRAPPED = re.compile(
    r"\A\s*(?:`+(?:python|py)?\b|<[\w|]+>|\[[A-Z]+\])[ \t]*(?=\S)|\s*(?:`+|</\w+>|<\|\w+\|>|\[/[A-Z]+\])\s*\Z"
)
_LOOKS_DEFINED = re.compile(rf"^\s*(?:def {FUNCTION}\b|{FUNCTION}\s*=\s*lambda\b)", re.MULTILINE)
_BEGINS_CODE = re.compile(r"(?:import|from|def|class)\b|@|#|\"\"\"|'''|[A-Za-z_]\w*\s*(?::[^=]+)?=[^=]")


@dataclass(frozen=True)
class Block:
    """One code block. `written`: its text in the reply; `source`: the first spelling that is Python, with its `tree`
    (None if no spelling is). `closed`: whether the block has a closing fence."""

    written: str
    source: str
    tree: ast.Module | None
    label: str = ""
    closed: bool = True

    @classmethod
    def of(cls, written: str, label: str = "", closed: bool = True) -> "Block":
        written = _LABEL_LINE.sub("", written if closed else _LATE_FENCE.sub("", written))
        parsed = ((spelling, tree) for spelling in spellings(written) if (tree := tree_of(spelling)) is not None)
        source, tree = next(parsed, (written, None))
        return cls(written, source, tree, label, closed)

    @property
    def scores(self) -> bool:
        return self.tree is not None and FUNCTION in defined(self.tree)

    @property
    def is_stub(self) -> bool:
        """Whether its `score` only repeats the signature, as in `def score(layer): ...`."""
        function = defined(self.tree).get(FUNCTION) if self.tree else None
        return isinstance(function, ast.FunctionDef) and all(
            isinstance(node, ast.Pass | ast.Raise)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            for node in function.body
        )


def fenced_code(text: str) -> str | None:
    """The source in a reply; None if there is no code.

    If nothing defines `score`, it is the last block of Python that is not cut off, so that the model gets an error
    message about it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    readings = [list(_blocks(version)) for version in dict.fromkeys([text, plain_spaces(text)])]
    source = next(filter(None, (_whole(blocks) or _joined(blocks) for blocks in readings)), None)
    source = (
        source
        or _whole(list(_in_html(text)))
        or _whole(list(_in_json(text)))
        or _whole(list(_bare(plain_spaces(text))))
        or _last_resort(readings[-1])
    )
    return source.strip("\n") + "\n" if source else None


def _blocks(text: str, nested: int = 0) -> Iterator[Block]:
    """All code blocks in order, including those within a block of Markdown."""
    lines = text.split("\n")
    for token in _MARKDOWN.parse(text):
        if token.type == "code_block":
            yield Block.of(token.content)
        elif token.type == "fence":
            first, end = token.map or (0, len(lines))
            last = lines[end - 1] if first < end - 1 else ""
            closed = bool(closing_line(token.markup).match(last))
            # For an indented fence CommonMark removes its indentation from the code, which may have less.
            as_written = "\n".join(lines[first + 1 : end - closed]) if token.level == 0 else token.content
            block = Block.of(as_written, token.info.strip(), closed)
            if block.tree is None:
                block = Block.of(token.content, token.info.strip(), closed)
            if (
                block.tree is None
                and nested < NESTED
                and re.search(r"^[ \t>]*(`{3}|~{3})", token.content, re.MULTILINE)
            ):
                inner = list(_blocks(token.content, nested + 1))
                if inner:
                    yield from inner
                    continue
            yield block if block.tree is not None else _extended(block, lines, first, token.markup)


def _extended(block: Block, lines: list[str], first: int, fence: str) -> Block:
    """A block that ends too early at a fence within a string, extended to the first fence that makes it valid."""
    if not _LOOKS_DEFINED.search(block.source):
        return block
    closes = closing_line(fence)
    ends = [number for number in range(first + 1, len(lines)) if closes.match(lines[number])]
    for end in ends[1:MOST_CLOSINGS]:
        longer = Block.of("\n".join(lines[first + 1 : end]), block.label)
        if longer.scores:
            return longer
    return block


def _whole(blocks: list[Block]) -> str | None:
    """The last block that defines `score`, preceded by the definitions that it needs from other blocks."""
    places = [number for number in reversed(range(len(blocks))) if blocks[number].scores]
    if not places:
        return None
    place = next((number for number in places if not blocks[number].is_stub), places[0])
    tree = blocks[place].tree
    assert tree is not None
    others = [*reversed(blocks[:place]), *blocks[place + 1 :]]
    entry_points = set(ENTRY_POINTS) - defined(tree).keys()
    taken: dict[tuple[int, int], str] = {}
    missing = unbound(tree)
    resolved = set(defined(tree))
    while missing | entry_points:
        name = min(missing | entry_points)
        sources = [other for other in others if name in missing or not other.scores]
        matches = ((block, node) for block in sources if (node := block.tree and defined(block.tree).get(name)))
        match = next(matches, None)
        missing, entry_points = missing - {name}, entry_points - {name}
        resolved.add(name)
        if match:
            block, node = match
            key = next(number for number, other in enumerate(blocks) if other is block), node.lineno
            taken[key] = segment(block.source, node)
            missing |= unbound(ast.Module([node], [])) - resolved
    return _concatenate([*(taken[key].rstrip() for key in sorted(taken)), blocks[place].source.strip("\n")])


def _concatenate(parts: list[str]) -> str:
    """Parts of a module in order, with `from __future__` imports at the top."""
    if len(parts) == 1:
        return parts[0]
    lines = "\n\n".join(parts).split("\n")
    return "\n".join(sorted(lines, key=lambda line: not line.startswith("from __future__ import")))


def _joined(blocks: list[Block]) -> str | None:
    """All blocks of Python together, for a function that is split into two of them."""
    block = Block.of("\n".join(block.written for block in blocks if _PYTHON.match(block.label)))
    return block.source if block.scores else None


def _in_html(text: str) -> Iterator[Block]:
    place = 0
    while opening := _HTML_CODE.search(text, place):
        place = text.find(f"</{opening[1]}>", opening.end())
        if place < 0:
            return
        source = _HTML_CODE.sub("", text[opening.end() : place]).replace("</code>", "")
        yield Block.of(html.unescape(source))


def _in_json(text: str) -> Iterator[Block]:
    """The strings of a JSON reply, alone or in a fence; a string may contain a block in turn."""
    whole = text.strip()
    for part in (whole, text[text.find("{") : text.rfind("}") + 1]):
        try:
            yield from _in_strings(json.loads(part, strict=False))
            return
        except (ValueError, RecursionError):
            continue


def _in_strings(value: Any) -> Iterator[Block]:
    if isinstance(value, str):
        inner = list(_blocks(clean(value)))
        yield from inner if any(block.scores for block in inner) else [Block.of(clean(value))]
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        yield Block.of(clean("\n".join(part.rstrip("\n") for part in value)))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _in_strings(part)


def _bare(text: str) -> Iterator[Block]:
    """Code without a fence: each part from a line that can start code to the prose that follows."""
    lines = ["```" if _FENCE_LINE.fullmatch(line) else _WRAPPED.sub("", line) for line in text.split("\n")]
    first, tried = 0, 0
    while first < len(lines) and tried < MOST_STARTS:
        if not _BEGINS_CODE.match(lines[first].lstrip()):
            first += 1
            continue
        source = textwrap.dedent("\n".join(lines[first:]))
        end = _first_error(source)
        stretch = source.split("\n")[:end]
        tree = tree_of("\n".join(stretch))
        last = next((node for node in reversed(tree.body) if not isinstance(node, ast.Expr)), None) if tree else None
        if last is not None:
            yield Block.of("\n".join(stretch[: last.end_lineno]))
        first, tried = first + (len(stretch) if last is not None else 1), tried + 1


def _first_error(source: str) -> int | None:
    """The number of lines before the statement with the first error; None if there is none."""
    try:
        parse(source)
    except NotPython as error:
        lines = source.split("\n")[: error.line]
        # An indented line is the middle of a statement, which would lose its end.
        return next((number for number in reversed(range(len(lines))) if lines[number][:1].strip()), 0)
    return None


def _last_resort(blocks: list[Block]) -> str | None:
    """The last block labelled as Python, preferably one that seems to define the function."""
    candidates = [
        block
        for block in blocks
        if block.source.strip() and _PYTHON.match(block.label) and (block.closed or block.tree is not None)
    ]
    defining = [block for block in candidates if _LOOKS_DEFINED.search(block.source)]
    last = next(reversed(defining or candidates), None)
    return last.written if last else None
