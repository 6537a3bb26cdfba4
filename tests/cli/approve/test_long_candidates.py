"""A long candidate in the dialog: what differs comes first, helpers are folded, and `view` shows everything."""

import re

from autoprune.cli.dialog import QUESTION
from autoprune.runs.approvals import ApprovalRequest
from tests.cli.approve.waiting import REASONING, editor, said


def test_of_a_long_candidate_the_difference_comes_first_then_score_then_folded_helpers(desk, long_one):
    shown = desk.type("a")
    first = shown.index("+    return layer.weight.abs() * layer.input_norm")
    assert first < shown.index("def score(layer):", first) < shown.index("def helper_0(x):", first)
    assert shown.count("... 21 lines") == 3
    total = len(long_one.splitlines())
    assert f"63 of {total} lines are folded: [v]iew shows everything" in " ".join(shown.replace("│", " ").split())
    assert "formula: S = |W| · ‖X‖" in shown
    assert "more characters: [v]iew" in shown
    assert len(shown) < len(REASONING)


def test_of_a_long_source_that_hides_code_the_finding_is_shown(desk, hiding_one):
    shown = desk.type("a")
    assert "screen: error" in shown
    assert "# <U+001B>[2J <U+202E>" in shown


def test_view_shows_all_of_the_source_difference_and_reasoning_and_asks_again(desk, archive, hiding_one):
    shown = desk.type("v", "a")
    after = shown.partition(QUESTION)[2]
    lines = [line.rstrip() for line in after.splitlines()]
    for number, line in enumerate(hiding_one.split("\n")[:-2], 1):
        if line:
            assert f"{number:>4} {line}" in lines
    assert "# <U+001B>[2J <U+202E>" in after
    assert not re.search("[\x1b\u202e]", after)
    assert "".join(REASONING.split()) in re.sub(r"[│\s]", "", after)
    assert shown.count(QUESTION) == 2
    assert said(archive)["g1.c3"] == ("approve", "")


def test_a_difference_longer_than_the_code_is_counted_and_shown_by_view(desk, run, archive, long_one):
    other = "".join(f"def other_{number}(x):\n    return x + {number}\n" for number in range(60))
    facts = {"slot": "g1.c4", "revision": 0, "operator": "cross", "engine": "llm", "parent": "g0.c9"}
    asked = {"candidate": run.save_source(long_one + "x = 1\n"), "parent_source": run.save_source(other)}
    archive.approvals.ask(ApprovalRequest.model_validate({**facts, **asked}))
    shown = desk.type("a", "v", "a")
    second = shown.partition("g1.c4 needs approval")[2]
    before, _, after = second.partition(QUESTION)
    assert "the difference has" in before
    assert "-def other_0(x):" not in before
    assert "-def other_0(x):" in after


def test_after_an_edit_view_shows_the_edited_source(desk, archive, tmp_path, monkeypatch, long_one):
    editor(tmp_path, monkeypatch, 'sed -i -e "s/input_norm/input_var/" "$1"')
    assert (
        "layer.input_var"
        in desk.type("e", "v", "a").rpartition("difference from g0.c1")[0].rpartition("code of g1.c3")[2]
    )
