"""Editing the text of a source by the places of its syntax tree, so that comments and layout stay."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from autoprune.syntax import NotPython, parse


@dataclass(frozen=True)
class Edit:
    """Bytes `start` to `end` of a source become `text`."""

    start: int
    end: int
    text: str


class Text:
    """A source with the byte offsets of its nodes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._data = source.encode()
        self._lines = [0]
        for line in self._data.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def start(self, node: ast.stmt | ast.expr) -> int:
        """Offset of a node, or of its first decorator."""
        first = min([node, *getattr(node, "decorator_list", [])], key=lambda each: each.lineno)
        return self._lines[first.lineno - 1] + first.col_offset - (first is not node)

    def end(self, node: ast.stmt | ast.expr) -> int:
        return self._lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def of(self, node: ast.stmt | ast.expr) -> str:
        """The text of a node."""
        return self._data[self.start(node) : self.end(node)].decode()

    def after(self, node: ast.stmt) -> str:
        """The text behind the lines of a statement."""
        return self._data[self._lines[node.end_lineno or node.lineno] :].decode()

    def split(self, place: int) -> tuple[str, str]:
        """The text before and behind an offset."""
        return self._data[:place].decode(), self._data[place:].decode()

    def next_line(self, node: ast.stmt) -> int:
        """Offset of the line behind a statement."""
        return min(self._lines[node.end_lineno or node.lineno], len(self._data))

    def removed(self, node: ast.stmt) -> Edit:
        """The removal of a statement, with its line if it has that to itself."""
        start, end = self.start(node), self.end(node)
        alone = start in self._lines and not self._data[end : self.next_line(node)].strip()
        return Edit(start, self.next_line(node) if alone else end, "")

    def name(self, node: ast.FunctionDef | ast.ClassDef) -> Edit:
        """The place of the name of a function or class, whose text is empty."""
        begin = self._lines[node.lineno - 1] + node.col_offset
        keyword = "class" if isinstance(node, ast.ClassDef) else "def"
        start = self._data.index(node.name.encode(), begin + len(keyword))
        return Edit(start, start + len(node.name.encode()), "")

    def edited(self, edits: Iterable[Edit], expected: ast.Module) -> str:
        """The source after edits that do not overlap, or the tree written out if that does not give the same tree.

        They differ for names within formatted strings, whose places Python 3.11 does not know.
        """
        data = self._data
        for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
            data = data[: edit.start] + edit.text.encode() + data[edit.end :]
        try:
            text = data.decode()
            if ast.dump(parse(text)) == ast.dump(expected):
                return text
        except (NotPython, UnicodeDecodeError):
            pass
        return ast.unparse(ast.fix_missing_locations(expected)) + "\n"
