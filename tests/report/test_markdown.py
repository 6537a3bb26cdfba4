"""Tables and texts as Markdown."""

import pytest
from markdown_it import MarkdownIt
from rich.table import Table

from autoprune.report.markdown import escaped, fenced, in_sections, table
from autoprune.report.text import plain


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


@pytest.mark.parametrize(
    "text", ["a*b*c **d**", "_a_ __b__ a_b", "`a` [b](c) ![d](e)", "<b>a</b> &lt; <!--", "\\ \\* $a$ ~b~", "|a|"]
)
def test_what_could_be_markup_is_text(text):
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert rendered(f"Text: {escaped(text, 100)}") == f"<p>Text: {html}</p>\n"


def test_a_name_with_underscores_and_a_formula_stay_as_they_are():
    assert escaped("column_share(|weight|) - 0.5", 100) == "column_share(|weight|) - 0.5"


def test_a_table_keeps_its_title_columns_cells_and_alignment():
    drawn = Table(title=plain("At 2:4"))
    drawn.add_column("algorithm")
    drawn.add_column("perplexity", justify="right")
    drawn.add_row(plain("a|b"), "12.50")
    assert list(in_sections([drawn, plain("seeds: 3")], 3)) == ["### At 2:4", table(drawn), "seeds: 3"]
    assert table(drawn).splitlines() == ["| algorithm | perplexity |", "| --- | ---: |", "| a\\|b | 12.50 |"]


def test_no_line_closes_its_fence():
    assert fenced(["echo '```'"], "bash") == "````bash\necho '```'\n````"
