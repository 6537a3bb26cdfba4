"""SEARCH/REPLACE blocks: what they change, what is refused, and a search whose model edits its parents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.agents.edits import edited, has_edits
from autoprune.agents.strong_proposer import edits_of
from tests.agents.strong_model import Model, archived, draft, strong

__all__ = ["strong"]

SOURCE = "import torch\n\n\ndef score(layer):\n    power = 0.5\n    return layer.weight.abs() ** power\n"


def edit(search, replace):
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def test_edits_are_made_in_their_order_and_may_build_on_each_other():
    text = edit("    power = 0.5", "    power = 0.7\n    base = 2") + "and\n" + edit("    base = 2", "    base = 3")
    assert edited(text, SOURCE) == SOURCE.replace("power = 0.5", "power = 0.7\n    base = 3")


def test_lines_are_removed_by_an_empty_replacement_and_spaces_at_their_ends_do_not_count():
    assert edited("<<<<<<< SEARCH\n    power = 0.5  \n=======\n>>>>>>> REPLACE", SOURCE) == SOURCE.replace(
        "    power = 0.5\n", ""
    )


@pytest.mark.parametrize(
    ("text", "source", "reason"),
    [
        (edit("power = 0.5", "x"), SOURCE, r"edit 1 \('power = 0.5' ...\) occur 0 times"),
        (edit("x = 1", "y"), "x = 1\nx = 1\n", r"occur 2 times"),
        (edit("    power = 0.5", "y") * 2, SOURCE, "edit 2 .* occur 0 times"),
        (edit("", "y"), SOURCE, "edit 1 has no SEARCH lines"),
        ("<<<<<<< SEARCH\n    power = 0.5\n=======\n    power = 0.6\n", SOURCE, "edit 1 is incomplete"),
        ("<<<<<<< SEARCH\n    power = 0.5\n" + edit("a", "b"), SOURCE, "edit 1 is incomplete"),
        (edit("    power = 0.5", "y"), None, "no source to edit"),
    ],
)
def test_edits_that_cannot_be_made_say_which_and_why(text, source, reason):
    with pytest.raises(ValueError, match=reason):
        edited(text, source)


@given(st.text("ab \n", max_size=40), st.text("ab\n", max_size=20))
def test_a_line_that_occurs_once_is_replaced_and_all_others_stay(rest, new):
    before, after = f"{rest}\nONCE\n", f"{rest}\n{new}\n"
    assert edited(edit("ONCE", new), before).splitlines() == after.splitlines()


def test_a_reply_without_a_marker_on_a_line_of_its_own_has_no_edits():
    assert has_edits(edit("a", "b"))
    assert not has_edits("I use <<<<<<< SEARCH blocks, and a << b; SEARCH")


@pytest.mark.parametrize(
    ("reply", "changed"),
    [
        (f"{edit('a', 'b')}IDEA: x\nEXPECTED: better\n```python\ndef score(layer):\n    return 1\n```", False),
        (f"IDEA: x\n```\n{edit('a', '# why: b')}{edit('c', 'd')}```", True),
        (f"```\n{edit('a', '# why: b')}{edit('c', 'd')}```\nIDEA: x\n", True),
    ],
    ids=["a sketch before a file", "labels within edits", "labels behind edits"],
)
def test_the_edits_of_a_reply_are_those_of_its_answer(reply, changed):
    assert (edited(edits_of(reply), "a\nc\n") == "# why: b\nd\n") if changed else not edits_of(reply)


def answer(*edits):
    return f"IDEA: an edit\nWHY: w\nEXPECTED: better\nBUILDS_ON: nothing\n```\n{''.join(edits)}```"


TWO = ("search.max_candidates=2", "search.generation_size=1", "agents.operators=[initialise,constants]")
RETURNED = "    return layer.weight.abs() * (layer.input_norm.pow(0.1) + 1e-6)"
CHANGED = "    return layer.weight.abs() * (layer.input_norm.pow(0.8) + 1e-6)"


def test_a_strong_model_edits_its_first_parent_after_the_drafts_of_its_reasoning(strong):
    sketch = edit("nothing of the parent", "x")
    model = Model(draft("layer.input_norm.pow(0.1)"), f"Perhaps\n{sketch}or\n{answer(edit(RETURNED, CHANGED))}")
    run = strong(
        model, "search.max_candidates=2", "search.generation_size=1", "agents.operators=[initialise,constants]"
    )
    outcomes, proposals = archived(run)
    assert "<<<<<<< SEARCH" in model.told["proposer"][1]
    sources = [run.source(proposal.candidate) for proposal in proposals]
    assert sources[1] == sources[0].replace(RETURNED, CHANGED)
    assert proposals[1].thought["idea"] == "an edit"
    assert outcomes[1].status in ("measured", "stopped", "duplicate")


def test_the_candidate_that_a_reply_says_it_edits_comes_before_the_parent(strong):
    named = answer(edit(RETURNED, CHANGED)).replace("```\n<", "EDITS: **[g1.c1]**\n```\n<")
    model = Model(draft("layer.input_norm.pow(0.1)"), draft("layer.input_norm.pow(3.0)"), named)
    run = strong(model, "search.max_candidates=3", "agents.operators=[initialise,constants]")
    _, proposals = archived(run)
    assert proposals[2].parents == ["g1.c2"]
    assert run.source(proposals[2].candidate) == run.source(proposals[0].candidate).replace(RETURNED, CHANGED)


def test_an_edit_that_does_not_fit_goes_back_with_the_parent_and_can_be_made_again(strong):
    wrong = answer(edit("    return 1", CHANGED))
    model = Model(draft("layer.input_norm.pow(0.1)"), wrong, answer(edit(RETURNED, CHANGED)))
    run = strong(
        model, "search.max_candidates=2", "search.generation_size=1", "agents.operators=[initialise,constants]"
    )
    _, proposals = archived(run)
    told = model.told["proposer"][2]
    assert "the SEARCH lines of edit 1 ('return 1' ...) occur 0 times in the source, not once" in told
    assert RETURNED in told
    assert CHANGED in run.source(proposals[-1].candidate)
    assert proposals[-1].revision == 1
