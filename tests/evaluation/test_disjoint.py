"""No sentence is in two splits, however a text repeats itself."""

import itertools
import re
import textwrap

import pytest

from autoprune.evaluation.disjoint import deal_out, made_disjoint

SENTENCES = [f"The story of number {i} ends where that of {i + 1} begins." for i in range(60)]


def said(text: str) -> list[str]:
    """The story's sentences in a text, however they are wrapped."""
    return re.findall(r"The story of number \d+ ends where that of \d+ begins\.", " ".join(text.split()))


def paragraphs(size: int, texts: list[str] = SENTENCES) -> list[str]:
    return [" ".join(texts[at : at + size]) for at in range(0, len(texts), size)]


TEXTS = {
    "paragraphs": [*paragraphs(2), *paragraphs(2)[:7]],
    "paragraphs cut otherwise": [*paragraphs(3), *paragraphs(4), *paragraphs(5)],
    "wrapped otherwise": [*paragraphs(3), *(textwrap.fill(each, 31) for each in paragraphs(3))],
    "wrapped and cut otherwise": [*paragraphs(3), *(textwrap.fill(each, 25) for each in paragraphs(7))],
    "few paragraphs": [*paragraphs(30), *paragraphs(30)],
    "one paragraph": [" ".join([*SENTENCES, *SENTENCES])],
    "lines of one paragraph": ["\n".join([*SENTENCES, *SENTENCES[20:50]])],
    "in curly quotation marks": [f"“{each}” {after}" for each, after in itertools.pairwise(SENTENCES)],
    "in guillemets": [f"«{each}» {after} «{each}»" for each, after in itertools.pairwise(SENTENCES)],
    "in lists": [*SENTENCES, *(f"- {each}" for each in SENTENCES), *(f"**{each}**" for each in SENTENCES)],
    "in quotation marks": [*(f'"{each}"\nsaid number {i}.' for i, each in enumerate(SENTENCES * 2))],
}


@pytest.mark.parametrize("kind", TEXTS)
def test_no_sentence_is_in_two_splits(kind):
    parts = [set(said(text)) for text in deal_out(["\n\n".join(TEXTS[kind])], 3)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(set.union(*parts)) >= 57  # a cut may go through a sentence


@pytest.mark.parametrize("rows", [3, 12, 60])
def test_rows_of_any_size_share_no_sentence_and_leave_none_out(rows):
    size = len(SENTENCES) // rows
    parts = [said(text) for text in deal_out([*paragraphs(size), *paragraphs(size)], 3)]
    assert all(parts)
    every = [*parts[0], *parts[1], *parts[2]]
    assert len(every) == len(set(every)) >= 57


def test_lines_without_punctuation_are_in_one_split_only():
    lines = [f"item {i} of the long list of items" for i in range(90)]
    parts = [set(text.splitlines()) & set(lines) for text in deal_out(["\n".join(lines + lines[::-1])], 3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) >= 87


@pytest.mark.parametrize(("opening", "mark"), [("", "…"), ("", "؟"), ("", "।"), ("„", ".”"), ("(", ".’)")])
def test_sentences_end_at_the_marks_of_other_languages(opening, mark):
    sentences = [f"{opening}of chapter {i} there is much to be said{mark}" for i in range(40)]
    rows = [" ".join(pair) for pair in itertools.pairwise(sentences)]
    parts = [set(re.findall(r"of chapter \d+ there", text)) for text in deal_out(rows, 3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40


def test_a_language_without_spaces_is_cut_at_its_own_marks():
    sentences = [f"第{i}章讲述了一个很长很长的故事内容。" for i in range(40)]
    parts = [set(re.findall(r"第\d+章[^。]*。", text)) for text in deal_out(["".join(sentences * 2)], 3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) >= 37


def test_a_text_that_repeats_nothing_stays_as_it_is():
    rows = paragraphs(2)
    assert deal_out(rows, 3) == ["\n\n".join(rows[part::3]) for part in range(3)]


def test_of_splits_that_are_given_the_last_stays_whole_and_the_others_give_way():
    measured = "It is measured as it is. It is measured as it is.\n\nYes.\n\n" + " ".join(SENTENCES[:9])
    other = f"Yes.\n\nHere it begins anew.\n\n{SENTENCES[3]} {SENTENCES[50]}\n\nIt is measured\nas it is.\n\nNo."
    left, whole = made_disjoint([other, measured])
    assert whole == measured
    assert left == f"Yes.\n\nHere it begins anew.\n\n{SENTENCES[50]}\n\nNo."
