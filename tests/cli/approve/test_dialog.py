"""The dialog on a pseudo-terminal: a candidate is shown, and answered, edited or left."""

import os
import re
import threading

import pytest

from autoprune.runs.approvals import ApprovalRequest, Decision
from autoprune.runs.archive import Archive
from autoprune.runs.directory import full_hash
from tests.cli.approve.waiting import HIDING, PARENT, editor, said
from tests.terminal import PATIENCE


def test_a_person_sees_thought_code_difference_review_and_findings_and_answers_each(desk, archive):
    shown = desk.type("a", "r", "too slow")
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("reject", "too slow")}
    for part in ("because", "def score(layer)", "+    return layer.weight.abs() * layer.input_norm", "critic: fine"):
        assert part in shown
    assert "screen: no findings" in shown
    assert "[/foo] [bold]" in shown
    assert not {"\x1b[2J", "\x07", "\u202e"} & set(re.findall(r"\x1b\[2J|\x07|\u202e", shown))


def test_words_work_as_well_as_letters_and_others_are_refused(desk, archive):
    shown = desk.type("perhaps", "", "approve", "reject", "")
    assert shown.count("is not one of a, v, e, r, t, s") == 2
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("reject", "")}


def test_approving_the_rest_answers_all_and_switches_the_run(desk, archive):
    desk.type("t")
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("approve", "with the rest")}
    assert archive.approvals.switched().approval == "auto"


@pytest.mark.parametrize("typed", ["s\n", "\x04"], ids=["stop", "end of input"])
def test_stop_and_the_end_of_input_leave_all_that_waits(desk, archive, typed):
    os.write(desk.keyboard, typed.encode())
    desk.dialog.attend()
    assert len(archive.approvals.pending()) == 2


def test_an_edit_is_screened_again_and_runs_under_its_own_hash(desk, archive, run, tmp_path, monkeypatch):
    editor(tmp_path, monkeypatch, 'sed -i "s/input_norm/input_var/" "$1"')
    shown = desk.type("e", "a", "r", "")
    decision = archive.approvals.decisions()[0]
    assert decision.decision == "modify"
    assert "layer.input_var" in run.source(decision.replacement)
    assert archive.approvals.may_run("g1.c1", decision.replacement, full_hash(run.source(decision.replacement)))
    assert not archive.approvals.may_run("g1.c1", decision.candidate)
    assert "+    return layer.weight.abs() * layer.input_var" in shown


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ('sed -i "s/import torch/import os/" "$1"', "this cannot run as a candidate"),
        ("exit 1", "set EDITOR to a working editor"),
        ("true", "no changes"),
        (r"sed -i -e '1s/^/\xef\xbb\xbf/' -e 's/$/\r/' $1", "no changes"),
        ("iconv -f UTF-8 -t UTF-16 $1 > $1.wide; mv $1.wide $1", "is UTF-16 text; save it as UTF-8"),
        (r"printf '# \374' >> $1", "is not UTF-8 text"),
    ],
)
def test_a_vain_edit_leaves_the_question_open(desk, archive, tmp_path, monkeypatch, command, complaint):
    editor(tmp_path, monkeypatch, command)
    assert complaint in desk.type("e", "a", "a")
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("approve", "")}


def test_a_question_is_given_up_when_it_is_answered_elsewhere(desk, archive, run):
    asking = threading.Thread(target=desk.dialog.attend)
    asking.start()
    other = Archive(run.archive_file)
    for request in other.approvals.pending():
        answer = Decision(slot=request.slot, candidate=request.candidate, decision="reject", who="bob")
        other.approvals.decide(answer)
    other.close()
    asking.join(PATIENCE)
    assert not asking.is_alive()


def test_what_hides_code_is_shown_by_its_number_in_code_and_difference(desk, run, archive):
    source = PARENT + "".join(line for line, _ in HIDING.values())
    facts = {"slot": "g1.c3", "revision": 0, "operator": "cross", "engine": "llm", "thought": {}}
    asked = {"candidate": run.save_source(source), "parent": "seed.wanda", "parent_source": run.save_source(PARENT)}
    archive.approvals.ask(ApprovalRequest.model_validate({**facts, **asked}))
    shown = desk.type("a", "a", "s")
    lines = [re.sub(r"^\d+ ", "", line.strip("│ ").strip()) for line in shown.splitlines()]
    for line in ("# kept:<U+2028>    return 1", "# nothing to see<U+000D>print(1)", "x = 1  # <U+202E>"):
        assert line in lines
        assert f"+{line}" in lines
