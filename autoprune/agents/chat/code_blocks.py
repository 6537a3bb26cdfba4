"""The candidate's source in a reply: the last block of code, by CommonMark's rules, that defines `score`.

Whether a block defines it, its syntax tree decides, not its label. Usage examples and formulas around it are passed
over; what it takes from other blocks (a helper, an import) is put in front of it.
"""

import ast
import builtins
import html
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

from autoprune.agents.chat.fences import closing_line
from autoprune.agents.chat.parse import clean
from autoprune.agents.chat.python_text import plain_spaces, spellings, tree_of
from autoprune.syntax import parse

FUNCTION = "score"
ENTRY_POINTS = ("GROUP", "allocate")
"""What a candidate may define beside its score."""
MOST_CLOSINGS = 20
MOST_STARTS = 40
NESTED = 3

# A tag alone on a line would make what follows an HTML block, fences and all.
_MARKDOWN = MarkdownIt("commonmark").disable(["html_block", "inline"])
_HTML_CODE = re.compile(r"<(pre|code)\b[^<>]*>")
_PYTHON = re.compile(r"[^\w]*(?:$|py)", re.IGNORECASE)
_LABEL_LINE = re.compile(r"\A\s*(?:python3?|py)[ \t]*\n", re.IGNORECASE)
_LATE_FENCE = re.compile(r"[ \t]*(?:`{3,}|~{3,})\s*\Z")
_LOOKS_DEFINED = re.compile(rf"^\s*(?:def {FUNCTION}\b|{FUNCTION}\s*=\s*lambda\b)", re.MULTILINE)
_BEGINS_CODE = re.compile(r"(?:import|from|def|class)\b|@|#|\"\"\"|'''|[A-Za-z_]\w*\s*(?::[^=]+)?=[^=]")
_Definition = (
    ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
)


@dataclass(frozen=True)
class Block:
    """One block of code. `written`: as it stands in the reply; `source`: in the first spelling that is Python, with its
    `tree`, which is None when there is no such spelling. `closed`: the block came to its end."""

    written: str
    source: str
    tree: ast.Module | None
    label: str = ""
    closed: bool = True

    @classmethod
    def of(cls, written: str, label: str = "", closed: bool = True) -> "Block":
        written = _LABEL_LINE.sub("", written if closed else _LATE_FENCE.sub("", written))
        found = ((spelling, tree) for spelling in spellings(written) if (tree := tree_of(spelling)) is not None)
        source, tree = next(found, (written, None))
        return cls(written, source, tree, label, closed)

    @property
    def scores(self) -> bool:
        return self.tree is not None and FUNCTION in _defined(self.tree)


def fenced_code(text: str) -> str | None:
    """The source that a reply holds; None if there is no code.

    When nothing in the reply defines `score`, the last block of Python stands for it, so that its author can be told
    what is wrong with it; but not one that was cut off.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    readings = [list(_blocks(version)) for version in dict.fromkeys([text, plain_spaces(text)])]
    found = next(filter(None, (_whole(blocks) or _joined(blocks) for blocks in readings)), None)
    found = (
        found
        or _whole(list(_in_html(text)))
        or _whole(list(_in_json(text)))
        or _bare(plain_spaces(text))
        or _last_resort(readings[-1])
    )
    return found.strip("\n") + "\n" if found else None


def _blocks(text: str, nested: int = 0) -> Iterator[Block]:
    """Every block of code in order; those within a block of Markdown in its place."""
    lines = text.split("\n")
    for token in _MARKDOWN.parse(text):
        if token.type == "code_block":
            yield Block.of(token.content)
        elif token.type == "fence":
            first, end = token.map or (0, len(lines))
            last = lines[end - 1] if first < end - 1 else ""
            closed = bool(closing_line(token.markup).match(last))
            # Of an indented fence CommonMark takes as much indentation off code that has none of its own to spare.
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
    """A block that a fence within one of its strings cut short, up to the first fence that makes it whole."""
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
    """The last block that defines `score`, behind what it needs of the others."""
    place = next((number for number in reversed(range(len(blocks))) if blocks[number].scores), None)
    if place is None:
        return None
    tree = blocks[place].tree
    assert tree is not None
    others = [*reversed(blocks[:place]), *blocks[place + 1 :]]
    entry_points = set(ENTRY_POINTS) - _defined(tree).keys()
    taken: dict[tuple[int, int], str] = {}
    missing = _missing(tree)
    known = set(_defined(tree))
    while missing | entry_points:
        name = min(missing | entry_points)
        fit = [other for other in others if name in missing or not other.scores]
        found = next(((block, node) for block in fit if (node := block.tree and _defined(block.tree).get(name))), None)
        missing, entry_points = missing - {name}, entry_points - {name}
        known.add(name)
        if found:
            block, node = found
            key = next(number for number, other in enumerate(blocks) if other is block), node.lineno
            taken[key] = _segment(block.source, node)
            missing |= _missing(ast.Module([node], [])) - known
    return "\n\n".join([*(taken[key].rstrip() for key in sorted(taken)), blocks[place].source.strip("\n")])


def _joined(blocks: list[Block]) -> str | None:
    """All blocks of Python together, where the function runs over two of them."""
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
    """The strings of a reply that is a JSON object, alone or in a fence."""
    try:
        value = json.loads(text[text.find("{") : text.rfind("}") + 1], strict=False)
    except (ValueError, RecursionError):
        return
    for part in value.values() if isinstance(value, dict) else ():
        if isinstance(part, str):
            yield Block.of(clean(part))


def _bare(text: str) -> str | None:
    """Code without a fence: from a line that can begin it up to the prose that follows."""
    lines = [_LATE_FENCE.sub("", line) for line in text.split("\n") if not re.match(r"\s*(```|~~~)", line)]
    first, tried = 0, 0
    while first < len(lines) and tried < MOST_STARTS:
        if not _BEGINS_CODE.match(lines[first].lstrip()):
            first += 1
            continue
        source = textwrap.dedent("\n".join(lines[first:]))
        end = _first_error(source)
        if end is not None:
            source = "\n".join(source.split("\n")[:end])
        tree = tree_of(source)
        if tree is not None and FUNCTION in _defined(tree):
            last = [node for node in tree.body if not isinstance(node, ast.Expr)][-1]
            return "\n".join(source.split("\n")[: last.end_lineno])
        first, tried = first + max(1, end or 1), tried + 1
    return None


def _first_error(source: str) -> int | None:
    """How many lines come before the first that is no Python; None if all are."""
    try:
        parse(source)
    except SyntaxError as error:
        return max(0, (error.lineno or 1) - 1)
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None


def _last_resort(blocks: list[Block]) -> str | None:
    """The last block that is meant for Python: one that names the function, before one that does not."""
    meant = [
        block
        for block in blocks
        if block.source.strip() and _PYTHON.match(block.label) and (block.closed or block.tree is not None)
    ]
    named = [block for block in meant if _LOOKS_DEFINED.search(block.source)]
    last = next(reversed(named or meant), None)
    return last.written if last else None


def _defined(tree: ast.Module) -> dict[str, _Definition]:
    """What a module defines at its top, by name. Of `score` only a function counts, not a value that is called so."""
    names: dict[str, _Definition] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0]: node for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id: node for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    if (found := names.get(FUNCTION)) and not _is_function(found):
        del names[FUNCTION]
    return names


def _is_function(node: _Definition) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(node, ast.FunctionDef) or isinstance(value, ast.Lambda | ast.Name)


def _missing(tree: ast.Module) -> set[str]:
    """Names that a module uses and nowhere binds."""
    used: set[str] = set()
    bound = set(dir(builtins)) | set(_defined(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return used - bound


def _segment(source: str, node: _Definition) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])
