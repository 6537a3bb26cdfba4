"""What a structured candidate's source may say, by its text alone."""

import pytest

from autoprune.candidates.contract import edits_defined, league_of
from autoprune.candidates.screen import Rules, screen
from autoprune.candidates.structure_contract import (
    StructureProblem,
    is_structured,
    reads_influence,
    structures_ranked,
    updates_consumer,
)

SCORE = "\n\ndef score(structures):\n    return structures.consumer.weight.sum((1, 2))\n"
CHANNELS = f'STRUCTURE = "channel"{SCORE}'
UPDATED = CHANNELS + "\n\ndef update(structures, kept):\n    return structures.consumer.weight[kept]\n"
WEIGHTS = "def score(layer):\n    return layer.weight\n"


def errors(source: str, rules: Rules | None = None) -> list[str]:
    return [finding.message for finding in screen(source, rules or Rules()) if finding.severity == "error"]


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ('STRUCTURE = "channel"', ("channel",)),
        ('STRUCTURE = ("head", "channel")', ("channel", "head")),
        ('STRUCTURE: tuple = ["block"]', ("block",)),
        ("", ()),
        ("GROUP = 'row'", ()),
    ],
)
def test_the_kinds_are_read_from_the_text(line, kinds):
    assert structures_ranked(line + SCORE) == kinds
    assert is_structured(line + SCORE) == bool(kinds)


@pytest.mark.parametrize(
    "line",
    [
        'STRUCTURE = "chan" + "nel"',
        "STRUCTURE = None",
        "STRUCTURE = ()",
        'STRUCTURE = "expert"',
        'STRUCTURE = ("channel", 1)',
        'STRUCTURE = "channel"\nSTRUCTURE = "head"',
    ],
)
def test_what_is_no_literal_of_known_kinds_is_refused(line):
    with pytest.raises(StructureProblem, match="STRUCTURE"):
        structures_ranked(line + SCORE)
    assert is_structured(line + SCORE)
    assert any("STRUCTURE" in message for message in errors(line + SCORE))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('STRUCTURE = "channel"\n', "the source defines no function score(structures)"),
        (CHANNELS + "GROUP = 'row'\n", "GROUP has no meaning in a candidate with STRUCTURE; remove it"),
        (CHANNELS + "PARAMS = {'a': (0, 1)}\n", "PARAMS has no meaning in a candidate with STRUCTURE; remove it"),
        (CHANNELS + "def refine(layer, mask):\n    return mask\n", "refine has no meaning in a candidate with"),
        (UPDATED.replace('"channel"', '"block"'), "removed blocks have no consumer; remove update"),
        (CHANNELS.replace("(structures):", "(one, two):"), "score is called as score(structures)"),
        (UPDATED.replace("structures, kept", "kept"), "update is called as update(structures, kept)"),
        (CHANNELS + "import os\n", "import of 'os' is not allowed"),
    ],
)
def test_the_screen_finds_what_breaks_the_contract(source, message):
    assert [found for found in errors(source) if found.startswith(message)]


def test_a_sound_source_passes_and_says_its_league():
    assert errors(CHANNELS) == errors(UPDATED) == []
    assert (league_of(CHANNELS), league_of(UPDATED), league_of(WEIGHTS)) == ("structured", "compensated", "mask")
    assert updates_consumer(UPDATED)
    assert not updates_consumer(CHANNELS)
    assert edits_defined(CHANNELS + "def update(layer, mask):\n    return layer.weight\n") == frozenset()
    assert reads_influence(CHANNELS.replace("structures.consumer", "structures.influence"))
    assert not reads_influence(CHANNELS)


@pytest.mark.parametrize(
    ("source", "rules", "message"),
    [
        (WEIGHTS, Rules(league="structured", structures=("channel",)), 'define STRUCTURE = "channel"'),
        (CHANNELS, Rules(league="structured", structures=("channel", "head")), 'STRUCTURE = ("channel", "head")'),
        (CHANNELS, Rules(league="mask", structures=()), "this search prunes single weights"),
        (UPDATED, Rules(league="structured", structures=("channel",)), "only chooses structures"),
    ],
)
def test_a_search_refuses_candidates_of_another_league(source, rules, message):
    assert any(message in found for found in errors(source, rules))


def test_a_search_accepts_its_own_league():
    assert errors(UPDATED, Rules(league="compensated", structures=("channel",))) == []
    assert errors(CHANNELS, Rules(league="compensated", structures=("channel",))) == []
    assert errors(WEIGHTS, Rules(league="mask", structures=())) == []
