"""The gist of a long text: whole sentences, and how much is left."""

import pytest

from autoprune.report.text import GIST, GIST_LINES, gist, split

SENTENCE = "The inputs of early blocks differ in size. "


def test_a_text_that_is_not_much_longer_than_a_gist_is_whole():
    assert split(SENTENCE * 15) == ((SENTENCE * 15).strip(), "")
    assert gist("short", "--whole") == "short"


def test_a_long_text_is_cut_at_a_sentence_and_says_how_much_more_there_is():
    head, rest = split(SENTENCE * 200)
    assert head.endswith("differ in size.")
    assert GIST / 3 < len(head) <= GIST
    assert gist(SENTENCE * 200, "--whole") == f"{head}\n... {len(rest):,} more characters: --whole"


@pytest.mark.parametrize(
    "text",
    ["x" * 100_000, "word " * 20_000, "line\n" * 20_000, "0.5 " + "y" * 100_000, " " * 100_000, "a.b" * 30_000],
)
def test_a_hundred_kilobytes_of_anything_are_bounded_and_nothing_is_lost(text):
    head, rest = split(text)
    assert len(head) <= GIST
    assert head.count("\n") < GIST_LINES
    assert "".join((head + rest).split()) == "".join(text.split())


def test_a_decimal_point_ends_no_sentence():
    head, _ = split("An exponent of 0.5 is better than one of 0.7 " * 100)
    assert not head.endswith(("0.", "of 0"))
