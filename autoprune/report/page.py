"""A trace as a self-contained file in HTML, SVG or text, with a fixed width."""

import html
import io
import re

from rich.console import Console, RenderableType
from rich.terminal_theme import SVG_EXPORT_THEME

from autoprune.report.text import visible

WIDTH = 100
"""Columns, wide enough for code and legible in an image of 800 pixels."""
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{{stylesheet}}
body {{{{ color: {{foreground}}; background-color: {{background}}; margin: 2em; }}}}
pre {{{{ font-family: {fonts}; line-height: 1.35; }}}}
</style>
</head>
<body><pre><code>{{code}}</code></pre></body>
</html>
"""


class Page:
    """A rendered view. Pages load nothing, and their text is never markup."""

    def __init__(self, drawn: RenderableType) -> None:
        self._console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
        self._console.print(drawn)

    def html(self, title: str) -> str:
        escaped = html.escape(visible(title)).replace("{", "{{").replace("}", "}}")
        template = _HTML.format(title=escaped, fonts=FONTS)
        return self._console.export_html(theme=SVG_EXPORT_THEME, code_format=template, clear=False)

    def svg(self, title: str) -> str:
        """The widths of texts are fixed, so that they fit with any font."""
        drawn = self._console.export_svg(title=visible(title), clear=False, unique_id="trace")
        without_fonts = re.sub(r"\s*@font-face \{[^}]*\}", "", drawn, count=2)
        return without_fonts.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}", 1)

    def text(self) -> str:
        return self._console.export_text(clear=False)
