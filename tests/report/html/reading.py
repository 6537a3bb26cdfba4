"""A report as a parser reads it: which elements it has, what it says, and the data in it."""

import json
from html.parser import HTMLParser
from typing import Any


class Reader(HTMLParser):
    """`elements`: tag and attributes in order; `scripts`: their contents; `text`: what a page without scripts shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def data(self) -> dict[str, Any]:
        """What the scripts draw."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found
