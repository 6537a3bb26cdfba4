"""`autoprune approve` with an answer on the command line, while the search is another process."""

import json

import pytest

from autoprune.runs.approvals import Decision
from tests.cli.approve.waiting import HIDING, PARENT, said


def test_answers_from_the_command_line_in_any_order(here, run, archive):
    listed = json.loads(here("approve", str(run.path), "--json").stdout)
    assert [request["slot"] for request in listed] == ["g1.c1", "g1.c2"]
    assert "g1.c1" in here("approve", str(run.path)).stdout
    (run.path / "mine.py").write_text(PARENT)
    done = here("approve", str(run.path), "g1.c2", "--decision", "modify", "--source", str(run.path / "mine.py"))
    assert done.returncode == 0, done.stderr
    assert f"autoprune resume {run.path}" in done.stdout
    assert here("approve", str(run.path), "--decision", "reject", "--comment", "no").returncode == 0
    assert said(archive) == {"g1.c2": ("modify", ""), "g1.c1": ("reject", "no")}
    assert "no candidate is pending" in here("approve", str(run.path)).stdout


def test_the_second_of_two_approvers_learns_who_was_first(here, run, archive):
    first = next(request for request in archive.approvals.pending() if request.slot == "g1.c1")
    archive.approvals.decide(Decision(slot="g1.c1", candidate=first.candidate, decision="approve", who="ann"))
    for name in ("g1.c1", first.candidate[:8]):
        done = here("approve", str(run.path), name, "--decision", "reject")
        assert done.returncode == 2
        assert done.stderr.startswith("autoprune: already decided: g1.c1 approved by ann at ")
    assert said(archive) == {"g1.c1": ("approve", "")}


def test_the_rest_is_approved_by_one_word(here, run, archive):
    done = here("approve", str(run.path), "--rest")
    assert done.returncode == 0, done.stderr
    assert set(said(archive)) == {"g1.c1", "g1.c2"}
    assert archive.approvals.switched().approval == "auto"


def test_the_file_of_an_answer_is_read_as_python_would_read_it(here, run, archive):
    (run.path / "mine.py").write_bytes(b"\xef\xbb\xbf" + PARENT.replace("\n", "\r\n").encode())
    done = here("approve", str(run.path), "g1.c2", "--decision", "modify", "--source", str(run.path / "mine.py"))
    assert done.returncode == 0, done.stderr
    assert run.source(archive.approvals.decisions()[0].replacement) == PARENT


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--decision", "approve"], "several candidates are pending (g1.c1, g1.c2)"),
        (["g9.c9", "--decision", "approve"], "no candidate 'g9.c9' is pending"),
        (["g1.c1", "--decision", "modify"], "--decision modify and --source FILE must be used together"),
        (["g1.c1", "--decision", "approve", "--source", "x.py"], "must be used together"),
        (["g1.c1", "--decision", "modify", "--source", "nowhere.py"], "cannot read the candidate nowhere.py"),
        (["g1.c1", "--decision", "modify", "--source", "bad.py"], "bad.py, line 1: import of 'os'"),
        (["g1.c1", "--comment", "why"], "--comment needs --decision"),
        (["g1.c1", "--rest"], "--rest approves all"),
        (["g1.c1", "--decision", "maybe"], "maybe"),
        (["--rest", "--mode", "human"], "--mode changes the mode of the run"),
    ],
)
def test_wrong_answers_are_one_clear_line_and_change_nothing(here, run, archive, tmp_path, words, complaint):
    (tmp_path / "bad.py").write_text("import os\n" + PARENT)
    done = here("approve", str(run.path), *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(archive.approvals.pending()) == 2


def test_the_mode_is_switched_from_another_terminal(here, run, archive):
    assert "approval mode: human" in here("approve", str(run.path), "--mode", "human").stdout
    assert archive.approvals.switched().approval == "human"
    assert len(archive.approvals.pending()) == 2
    here("approve", str(run.path), "--mode", "auto")
    assert archive.approvals.switched().approval == "auto"


@pytest.mark.parametrize(("line", "part"), HIDING.values(), ids=HIDING)
def test_a_file_that_hides_code_or_is_absurd_does_not_run_instead(here, run, archive, tmp_path, line, part):
    (tmp_path / "mine.py").write_bytes((PARENT + line).encode())
    done = here("approve", str(run.path), "g1.c1", "--decision", "modify", "--source", "mine.py")
    assert done.returncode == 2
    assert "mine.py, line 6: " in done.stderr
    assert part in done.stderr
    assert len(archive.approvals.pending()) == 2
