"""Pictures of a trace: well-formed with any text, one width, nothing from elsewhere."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from rich.console import Group
from rich.panel import Panel

from autoprune.report.code import code
from autoprune.report.page import WIDTH, Page
from autoprune.report.text import plain
from tests.report.test_report import HOSTILE

EVERYTHING = "".join(chr(point) for point in range(0x3100)) + "".join(chr(point) for point in range(0xD7F0, 0x10100))
TEXTS = [HOSTILE, EVERYTHING, "]]></svg><script>alert(1)</script>&nbsp;&#0;", "x" * 3_000_000, "{title} {0} %s"]


class Tags(HTMLParser):
    """Which tags a page has."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)


def page(text):
    return Page(Group(Panel(plain(text), title="t"), code(text, "python"), plain(text, "red")))


@pytest.mark.parametrize("text", TEXTS, ids=["hostile", "all of Unicode", "markup", "megabytes", "templates"])
def test_any_text_gives_a_well_formed_picture(text):
    drawn = page(text)
    svg = ElementTree.fromstring(drawn.svg(text[:200]))
    tags = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert not tags & {"script", "foreignObject", "a", "image"}
    assert not re.search(r"<script|@import|@font-face|url\(h", drawn.svg("t"))

    reader = Tags()
    reader.feed(drawn.html(text[:200]))
    assert not reader.seen & {"script", "img", "link", "iframe"}


def test_a_picture_is_as_wide_as_a_page():
    lines = page("word " * 100).text().splitlines()
    assert max(map(len, lines)) == WIDTH
