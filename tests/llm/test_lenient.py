"""Replies in JSON that are nearly right: read without another turn."""

import json
from typing import Any

import pytest

from autoprune.agents.analyst import Reflection
from autoprune.agents.critic import Opinion
from autoprune.agents.proposer import Thought
from autoprune.llm.parse import parse_json

PLAIN = {"idea": "x", "why": "y", "expected": "better", "builds_on": ["g1.c1"]}


def thought(**changes: Any) -> str:
    return json.dumps({**PLAIN, **changes})


@pytest.mark.parametrize(
    "text",
    [
        thought(expected="Better"),
        thought(expected="BETTER."),
        thought(expected=" **better** "),
        thought(expected=["better"]),
        thought(expected="better (lower perplexity)"),
        thought(expected="Better: the norms help"),
        thought(builds_on="g1.c1"),
        thought(builds_on="[g1.c1]"),
        thought(builds_on=["[g1.c1]", "none", ""]),
        thought(builds_on="g1.c1, None"),
        thought(builds_on="- g1.c1\n- none"),
        thought(builds_on=["g1.c1 (perplexity 12.3)", None]),
        thought().replace(" ", "\u00a0"),
        thought().replace(" ", "\u200b\u3000"),
        json.dumps({"answer": thought()}),
        thought(extra={"deep": [1]}, confidence=0.3),
        thought(idea=["x"]),
        json.dumps({"Idea": "x", "WHY": "y", "Expected": "better", "Builds-On": ["g1.c1"]}),
        json.dumps({"thought": PLAIN}),
        json.dumps([PLAIN]),
        f"Sure:\n```json\n{thought()}\n```\nHope it helps {{}}",
        str(PLAIN),
        "{'idea': 'x', 'why': 'y', 'expected': 'better', 'builds_on': ['g1.c1'], 'sure': True, 'note': None,}",
        '{"idea": "x", "why": "y", "expected": "better", "builds_on": ["g1.c1",],}',
        '{idea: "x", why: "y", expected: "better", builds_on: ["g1.c1"]}',
        '{"idea": "x", // short\n"why": "y",\n# as asked\n"expected": "better", "builds_on": ["g1.c1"]}',
        "{“idea”: “x”, “why”: “y”, “expected”: “better”, “builds_on”: [“g1.c1”]}",
        '{"idea": "x", "why": "y", "expected": "better", "builds_on": ["g1.c1"], "math": "\\sigma \\( \\u12"}',
        f"Not {{yet}}: {{'idea': broken\n\n{thought()}",
    ],
    ids=lambda text: text[:60],
)
def test_a_thought_that_is_nearly_right_is_read(text: str) -> None:
    assert parse_json(text, Thought) == Thought.model_validate(PLAIN)


@pytest.mark.parametrize("text", [thought(builds_on=None), thought(builds_on="none"), thought(builds_on=[])])
def test_nothing_to_build_on_is_an_empty_list(text: str) -> None:
    assert parse_json(text, Thought).builds_on == []


def test_what_is_too_long_is_cut() -> None:
    read = parse_json(thought(idea="a" * 700, why="b " * 700, builds_on=["c"] * 20), Thought)
    assert (len(read.idea), len(read.builds_on)) == (600, 8)
    assert read.why.endswith("b…")
    assert len(parse_json(json.dumps({"lesson": "x" * 10_000}), Reflection).lesson) == 600


@pytest.mark.parametrize(
    ("verdict", "read"),
    [
        ("Accept", "accept"),
        ("ACCEPT.", "accept"),
        ("'revise'", "revise"),
        ("Reject - a duplicate", "reject"),
        ("accept: fine", "accept"),
    ],
)
def test_a_verdict_is_read_in_any_case(verdict: str, read: str) -> None:
    assert parse_json(json.dumps({"comment": "c", "verdict": verdict}), Opinion).verdict == read


@pytest.mark.parametrize(
    "verdict",
    ["do not accept", "accept or revise", "Accept only if line 3 goes", "accept | revise | reject", "fine", 3, None],
)
def test_a_verdict_that_could_mean_something_else_is_asked_for_again(verdict: Any) -> None:
    with pytest.raises(ValueError, match="verdict: Input should be 'accept', 'revise' or 'reject'"):
        parse_json(json.dumps({"comment": "c", "verdict": verdict}), Opinion)


def test_an_object_that_fits_as_it_is_comes_before_one_that_needs_repair() -> None:
    assert parse_json("{'idea': 'draft', 'why': 'y', 'expected': 'same'}\n" + thought(), Thought).idea == "x"


def test_characters_that_only_escapes_can_spell_are_taken_out() -> None:
    read = parse_json('{"idea": "a\\u0000\\ud800b\\u202e", "why": "y", "expected": "same"}', Thought)
    assert read.idea == "ab"


@pytest.mark.parametrize("piece", ['{"a":', "{'", "{a:", '{"a":1,', "{//\n", "{\\u", "{"])
def test_hostile_json_is_given_up_in_bounded_time(piece: str) -> None:
    with pytest.raises(ValueError, match="no complete JSON object"):
        parse_json(piece * (100_000 // len(piece)), Opinion)


def test_the_schema_that_is_sent_is_strict() -> None:
    properties = Thought.model_json_schema()["properties"]
    assert properties["expected"]["enum"] == ["better", "same", "worse"]
    assert (properties["idea"]["type"], properties["idea"]["maxLength"]) == ("string", 600)
    assert properties["builds_on"]["type"] == "array"
