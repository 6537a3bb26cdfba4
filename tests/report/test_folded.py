"""Long code on a terminal: the file's own line numbers, folds that say what they hold, bounded whatever it is."""

import io
import re

import pytest
from rich.console import Console

from autoprune.report.folded import MOST_LINES, folded
from autoprune.syntax import hides
from tests.report.test_outline import LONG, SCORE, SOURCE


def drawn(source, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(folded(source, "[v]iew"))
    return console.file.getvalue()


def test_real_line_numbers_stand_beside_the_code_and_a_fold_says_how_many_lines_it_holds():
    lines = [line.rstrip() for line in drawn(SOURCE).splitlines()]
    where = SOURCE.splitlines().index("def score(layer):") + 1
    assert f"{where} def score(layer):" in lines
    assert "       ... 44 lines" in lines
    assert f"44 of {len(SOURCE.splitlines())} lines are folded: [v]iew shows everything" in lines


def test_short_code_is_whole_and_says_nothing_of_folds():
    assert [line.rstrip() for line in drawn(SCORE).splitlines()] == [
        "1 def score(layer):",
        "2     return helper_0(layer.weight)",
    ]


def test_what_does_not_parse_is_shown_in_its_own_order():
    text = drawn(f"{SOURCE}\nthis is no Python\n")
    assert text.index("def helper_0") < text.index("def score") < text.index("this is no Python")
    assert "folded" not in text


@pytest.mark.parametrize(
    "source",
    [
        "".join(f"def f{number}(): return {number}\n" for number in range(10_000)) + SCORE,
        "def score(layer):\n" + "    x = 1\n" * 10_000 + "    return layer.weight\n",
        "this is no Python\n" * 10_000,
    ],
    ids=["ten thousand functions", "a long score", "no Python"],
)
def test_the_most_lines_are_shown_and_the_rest_is_counted(source):
    text = drawn(source)
    numbered = re.findall(r"^ *(\d+) ", text, re.MULTILINE)
    assert len(numbered) == MOST_LINES
    total = source.count("\n")
    assert f"{total - MOST_LINES:,} of {total:,} lines are folded: [v]iew shows everything" in " ".join(text.split())
    assert len(text.splitlines()) < 2 * MOST_LINES + 10


def test_a_line_of_a_hundred_kilobytes_is_cut_and_says_so():
    text = drawn(f"x = '{'a' * 100_000}'\n{SOURCE}")
    assert "99,006 more characters" in " ".join(text.split())
    assert "long lines are cut: [v]iew shows everything" in " ".join(text.split())
    assert len(text) < 20_000


def test_characters_that_hide_code_stand_there_by_their_number():
    text = drawn(f"{SOURCE}# \u202e\u2028\r\x1b[2J\n{LONG}")
    assert "# <U+202E><U+2028><U+000D><U+001B>[2J" in text
    assert not any(map(hides, text))


def test_markup_is_text():
    assert "# [red]x[/red] <b>" in drawn("# [red]x[/red] <b>\n")
