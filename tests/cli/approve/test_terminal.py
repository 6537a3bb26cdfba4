"""The whole program on a real pseudo-terminal: `approve`, a search that asks, and one that has nobody to ask."""

import io
import json
import re

import pexpect
import pytest

from autoprune.cli.dialog import QUESTION
from autoprune.runs.archive import Archive
from tests.cli.approve.waiting import pager, said

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|9[0-7])[;m]")
PROMPTS = {"question": "", "comment": "comment for the proposer", "editor": "editing"}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_ctrl_c_at_a_prompt_ends_with_130_and_decides_nothing(terminal, run, archive, tmp_path, prompt):
    (tmp_path / "slow").write_text("#!/bin/sh\necho editing\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    child = terminal("approve", "r", NO_COLOR="1", VISUAL=str(tmp_path / "slow"))
    child.expect_exact(QUESTION.strip())
    if prompt != "question":
        child.sendline(prompt[0] if prompt == "editor" else "r")
        child.expect_exact(PROMPTS[prompt])
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert len(archive.approvals.pending()) == 2


def test_view_goes_through_the_pager_of_the_user_and_asks_again(terminal, run, archive, tmp_path, hiding_one):
    paged = pager(tmp_path, "echo paged; cat > paged.txt")
    child = terminal("approve", "r", NO_COLOR="1", PAGER=paged)
    child.expect_exact(QUESTION.strip())
    child.sendline("v")
    child.expect_exact("paged")
    child.expect_exact(QUESTION.strip())
    child.sendline("a")
    child.expect(pexpect.EOF)
    child.close()
    text = (tmp_path / "paged.txt").read_text("utf-8")
    assert "def score(layer):" in text
    assert "<U+202E>" in text
    assert not re.search("[\x1b\u202e]", text)
    assert said(archive)["g1.c3"] == ("approve", "")


@pytest.mark.parametrize("command", ["no-such-pager", "'", "exit 3"])
def test_a_pager_that_does_not_work_leaves_the_question_open(terminal, archive, tmp_path, long_one, command):
    paged = pager(tmp_path, command) if command.startswith("exit") else command
    child = terminal("approve", "r", NO_COLOR="1", PAGER=paged)
    child.expect_exact(QUESTION.strip())
    child.sendline("v")
    child.expect_exact(QUESTION.strip())
    child.sendline("s")
    child.expect(pexpect.EOF)
    child.close()
    assert len(archive.approvals.pending()) == 1


@pytest.mark.long
@pytest.mark.parametrize("prompt", ["comment", "editor"])
def test_ctrl_c_at_a_prompt_of_a_search_ends_it_and_decides_nothing(terminal, small, tmp_path, prompt):
    (tmp_path / "slow").write_text("#!/bin/sh\necho editing\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    words = ["search", *small, "--run-dir", "r", "--approval", "human", "--max-candidates", "1"]
    child = terminal(*words, NO_COLOR="1", VISUAL=str(tmp_path / "slow"))
    child.expect_exact(QUESTION.strip())
    child.sendline(prompt[0] if prompt == "editor" else "r")
    child.expect_exact(PROMPTS[prompt])
    child.sendintr()
    child.expect_exact("autoprune resume r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    archive = Archive(tmp_path / "r" / "archive.sqlite")
    pending, decisions = archive.approvals.pending(), archive.approvals.decisions()
    archive.close()
    assert len(pending) == 1
    assert decisions == []


@pytest.mark.long
def test_a_search_on_a_narrow_terminal_asks_at_once_and_goes_on(terminal, small, tmp_path):
    words = ["search", *small, "--run-dir", "r", "--approval", "human", "--max-candidates", "4"]
    child = terminal(*words, NO_COLOR="1")
    screen = child.logfile_read = io.StringIO()
    child.expect_exact(QUESTION.strip())
    child.sendline("r")
    child.expect_exact("comment for the proposer")
    child.sendline("think bigger")
    child.expect_exact(QUESTION.strip())
    child.sendline("s")
    child.expect_exact("autoprune resume r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert not COLOUR.search(screen.getvalue())
    text = re.sub(r"\x1b\[[\d;]*m", "", screen.getvalue())  # dim is no colour, and takes no column
    boxed = [line for line in text.splitlines() if line.startswith(("│", "╭", "╰"))]
    assert boxed
    assert max(map(len, boxed)) <= 60
    child = terminal("resume", "r", width=100)
    child.expect_exact(QUESTION.strip())
    child.sendintr()
    child.expect_exact("autoprune resume r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    child = terminal("resume", "r", width=100)
    child.expect_exact(QUESTION.strip())
    child.sendline("t")
    child.expect_exact("report split")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    archive = Archive(tmp_path / "r" / "archive.sqlite")
    decisions = archive.approvals.decisions()
    archive.close()
    assert "think bigger" in [decision.comment for decision in decisions]
    assert any(decision.who.startswith("auto (switched on by") for decision in decisions)


@pytest.mark.long
def test_without_a_terminal_the_run_pauses_with_3_and_says_how_to_go_on(autoprune, small, tmp_path):
    paused = autoprune("search", *small, "--run-dir", "r", "--approval", "human", "--max-candidates", "1")
    assert paused.returncode == 3, paused.stderr
    assert "autoprune approve r" in paused.stderr
    assert "autoprune resume r" in paused.stdout
    done = autoprune("resume", "r", "--approval", "auto", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["conclusion"]
