"""Approvals as a person meets them: on a real pseudo-terminal, from another process, and without a terminal."""

import io
import json
import os
import pty
import re
import sys
import threading

import pexpect
import pytest
from rich.console import Console

from autoprune.cli.dialog import QUESTION, Dialog
from autoprune.config import Config
from autoprune.runs.approvals import ApprovalRequest, Decision
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, full_hash

PARENT = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs()\n"
SHOWN = PARENT.replace("abs()", "abs() * layer.input_norm")
HOSTILE = "[/foo] [bold] \x1b[2J\x1b]0;title\x07 \u202e"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|9[0-7])[;m]")
PATIENCE = 240
"""Seconds that a process may need on a machine that is busy with other things."""


@pytest.fixture
def run(tmp_path):
    """A run in which two candidates wait for approval."""
    run = RunDirectory.create(tmp_path / "r", Config())
    archive = Archive(run.archive_file)
    for slot in ("g1.c1", "g1.c2"):
        request = ApprovalRequest(
            slot=slot,
            candidate=run.save_source(SHOWN + f"# {slot}\n"),
            revision=0,
            operator="cross",
            engine="llm",
            thought={"idea": HOSTILE, "why": "because"},
            review=["fine"],
            parent="seed.wanda",
            parent_source=run.save_source(PARENT),
        )
        archive.approvals.ask(request)
    archive.close()
    return run


@pytest.fixture
def archive(run):
    archive = Archive(run.archive_file)
    yield archive
    archive.close()


class Desk:
    """A dialog at one end of a pseudo-terminal; the test types at the other."""

    def __init__(self, run, archive, width=80):
        self.keyboard, terminal = pty.openpty()
        self.screen = io.StringIO()
        self.dialog = Dialog(run, archive, Console(file=self.screen, width=width), terminal)

    def type(self, *lines):
        """Everything is typed ahead; then the dialog is held until it has asked about all that waits."""
        os.write(self.keyboard, "".join(f"{line}\n" for line in lines).encode())
        self.dialog.attend()
        return self.screen.getvalue()


@pytest.fixture
def desk(run, archive):
    desk = Desk(run, archive)
    desk.dialog.over = lambda: not archive.approvals.pending()
    return desk


def said(archive):
    return {each.slot: (each.decision, each.comment) for each in archive.approvals.decisions()}


def test_a_person_sees_thought_code_difference_review_and_findings_and_answers_each(desk, archive):
    shown = desk.type("a", "r", "too slow")
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("reject", "too slow")}
    for part in ("because", "def score(layer)", "+    return layer.weight.abs() * layer.input_norm", "critic: fine"):
        assert part in shown
    assert "screen: nothing found" in shown
    assert "[/foo] [bold]" in shown
    assert not {"\x1b[2J", "\x07", "\u202e"} & set(re.findall(r"\x1b\[2J|\x07|\u202e", shown))


def test_words_work_as_well_as_letters_and_others_are_refused(desk, archive):
    shown = desk.type("perhaps", "", "approve", "reject", "")
    assert shown.count("is none of a, v, e, r, t, s") == 2
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


def editor(tmp_path, monkeypatch, command):
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\n{command}\n")
    script.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))


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
        ("exit 1", "set EDITOR to an editor that works"),
        ("true", "nothing was changed"),
        (r"sed -i -e '1s/^/\xef\xbb\xbf/' -e 's/$/\r/' $1", "nothing was changed"),
        ("iconv -f UTF-8 -t UTF-16 $1 > $1.wide; mv $1.wide $1", "is UTF-16 text; save it as UTF-8"),
        (r"printf '# \374' >> $1", "is not UTF-8 text"),
    ],
)
def test_a_vain_edit_leaves_the_question_open(desk, archive, tmp_path, monkeypatch, command, complaint):
    editor(tmp_path, monkeypatch, command)
    assert complaint in desk.type("e", "a", "a")
    assert said(archive) == {"g1.c1": ("approve", ""), "g1.c2": ("approve", "")}


LONG = "".join(
    f'\n\ndef helper_{number}(x):\n    """Helper {number}."""\n' + "    x = x + 1\n" * 20 + "    return x\n"
    for number in range(3)
)
REASONING = "The norm of the inputs differs between blocks. " * 400


HIDDEN = "# \x1b[2J \u202e\n"


@pytest.fixture
def long_one(run, archive):
    return ask_long(run, archive)


@pytest.fixture
def hiding_one(run, archive):
    return ask_long(run, archive, HIDDEN)


def ask_long(run, archive, more=""):
    """A third candidate: long, with a long reasoning, from a parent that differs in one line."""
    for slot in ("g1.c1", "g1.c2"):
        candidate = next(each.candidate for each in archive.approvals.pending() if each.slot == slot)
        archive.approvals.decide(Decision(slot=slot, candidate=candidate, decision="reject", who="bob"))
    parent = f"import torch\n{LONG}\n\n" + PARENT.removeprefix("import torch\n\n\n")
    source = parent.replace("abs()", "abs() * layer.input_norm") + more
    request = ApprovalRequest(
        slot="g1.c3",
        candidate=run.save_source(source),
        revision=0,
        operator="cross",
        engine="llm",
        thought={"idea": "an idea", "reasoning": REASONING, "formula": "S = |W| · ‖X‖"},
        parent="g0.c1",
        parent_source=run.save_source(parent),
    )
    archive.approvals.ask(request)
    return source


def test_of_a_long_candidate_the_difference_comes_first_then_score_then_folded_helpers(desk, long_one):
    shown = desk.type("a")
    first = shown.index("+    return layer.weight.abs() * layer.input_norm")
    assert first < shown.index("def score(layer):", first) < shown.index("def helper_0(x):", first)
    assert shown.count("... 21 lines") == 3
    total = len(long_one.splitlines())
    assert f"63 of {total} lines are folded: [v]iew shows everything" in " ".join(shown.replace("│", " ").split())
    assert "formula: S = |W| · ‖X‖" in shown
    assert "characters more: [v]iew" in shown
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
    second = shown.partition("g1.c4 waits")[2]
    before, _, after = second.partition(QUESTION)
    assert "the difference has" in before
    assert "-def other_0(x):" not in before
    assert "-def other_0(x):" in after


def test_after_an_edit_view_shows_the_edited_source(desk, archive, tmp_path, monkeypatch, long_one):
    editor(tmp_path, monkeypatch, 'sed -i -e "s/input_norm/input_var/" "$1"')
    assert "layer.input_var" in desk.type("e", "v", "a").rpartition("against g0.c1")[0].rpartition("code of g1.c3")[2]


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
    assert "no candidate waits" in here("approve", str(run.path)).stdout


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
        (["--decision", "approve"], "several candidates wait (g1.c1, g1.c2)"),
        (["g9.c9", "--decision", "approve"], "no candidate 'g9.c9' waits"),
        (["g1.c1", "--decision", "modify"], "--decision modify and --source FILE belong together"),
        (["g1.c1", "--decision", "approve", "--source", "x.py"], "belong together"),
        (["g1.c1", "--decision", "modify", "--source", "nowhere.py"], "cannot read the candidate nowhere.py"),
        (["g1.c1", "--decision", "modify", "--source", "bad.py"], "bad.py, line 1: import of 'os'"),
        (["g1.c1", "--comment", "why"], "--comment needs --decision"),
        (["g1.c1", "--rest"], "--rest answers for all"),
        (["g1.c1", "--decision", "maybe"], "maybe"),
        (["--rest", "--mode", "human"], "--mode changes how the run approves"),
    ],
)
def test_wrong_answers_are_one_clear_line_and_change_nothing(here, run, archive, tmp_path, words, complaint):
    (tmp_path / "bad.py").write_text("import os\n" + PARENT)
    done = here("approve", str(run.path), *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert len(archive.approvals.pending()) == 2


def terminal(environment, tmp_path, *words, width=60, **variables):
    return pexpect.spawn(
        sys.executable,
        ["-m", "autoprune", *words],
        cwd=str(tmp_path),
        env={**{k: v for k, v in environment.items() if k != "COLUMNS"}, "TERM": "xterm", **variables},
        dimensions=(40, width),
        encoding="utf-8",
        timeout=PATIENCE,
    )


def test_the_mode_is_switched_from_another_terminal(here, run, archive):
    assert "approval is human from here on" in here("approve", str(run.path), "--mode", "human").stdout
    assert archive.approvals.switched().approval == "human"
    assert len(archive.approvals.pending()) == 2
    here("approve", str(run.path), "--mode", "auto")
    assert archive.approvals.switched().approval == "auto"


PROMPTS = {"question": "", "comment": "comment for the proposer", "editor": "editing"}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_ctrl_c_at_a_prompt_ends_with_130_and_decides_nothing(environment, run, archive, tmp_path, prompt):
    (tmp_path / "slow").write_text("#!/bin/sh\necho editing\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    child = terminal(environment, tmp_path, "approve", "r", NO_COLOR="1", VISUAL=str(tmp_path / "slow"))
    child.expect_exact(QUESTION.strip())
    if prompt != "question":
        child.sendline(prompt[0] if prompt == "editor" else "r")
        child.expect_exact(PROMPTS[prompt])
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert len(archive.approvals.pending()) == 2


def pager(tmp_path, command):
    (tmp_path / "pager").write_text(f"#!/bin/sh\n{command}\n")
    (tmp_path / "pager").chmod(0o755)
    return str(tmp_path / "pager")


def test_view_goes_through_the_pager_of_the_user_and_asks_again(environment, run, archive, tmp_path, hiding_one):
    paged = pager(tmp_path, "echo paged; cat > paged.txt")
    child = terminal(environment, tmp_path, "approve", "r", NO_COLOR="1", PAGER=paged)
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
def test_a_pager_that_does_not_work_leaves_the_question_open(environment, archive, tmp_path, long_one, command):
    paged = pager(tmp_path, command) if command.startswith("exit") else command
    child = terminal(environment, tmp_path, "approve", "r", NO_COLOR="1", PAGER=paged)
    child.expect_exact(QUESTION.strip())
    child.sendline("v")
    child.expect_exact(QUESTION.strip())
    child.sendline("s")
    child.expect(pexpect.EOF)
    child.close()
    assert len(archive.approvals.pending()) == 1


@pytest.mark.long
@pytest.mark.parametrize("prompt", ["comment", "editor"])
def test_ctrl_c_at_a_prompt_of_a_search_ends_it_and_decides_nothing(environment, small, tmp_path, prompt):
    (tmp_path / "slow").write_text("#!/bin/sh\necho editing\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    words = ["search", *small, "--run-dir", "r", "--approval", "human", "--max-candidates", "1"]
    child = terminal(environment, tmp_path, *words, NO_COLOR="1", VISUAL=str(tmp_path / "slow"))
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
def test_a_search_on_a_narrow_terminal_asks_at_once_and_goes_on(environment, small, tmp_path):
    words = ["search", *small, "--run-dir", "r", "--approval", "human", "--max-candidates", "4"]
    child = terminal(environment, tmp_path, *words, NO_COLOR="1")
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
    child = terminal(environment, tmp_path, "resume", "r", width=100)
    child.expect_exact(QUESTION.strip())
    child.sendintr()
    child.expect_exact("autoprune resume r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    child = terminal(environment, tmp_path, "resume", "r", width=100)
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


HIDING = {
    "line separator": ("# kept:\u2028    return 1\n", "U+2028"),
    "lone carriage return": ("# nothing to see\rprint(1)\n", "U+000D"),
    "direction": ("x = 1  # \u202e\n", "U+202E"),
    "too deep": (f"x = {'-' * 500}1\n", "levels deep"),
    "too large a number": (f"x = 0x{'f' * 5000}\n", "1024 bits"),
}


@pytest.mark.parametrize(("line", "part"), HIDING.values(), ids=HIDING)
def test_a_file_that_hides_code_or_is_absurd_does_not_run_instead(here, run, archive, tmp_path, line, part):
    (tmp_path / "mine.py").write_bytes((PARENT + line).encode())
    done = here("approve", str(run.path), "g1.c1", "--decision", "modify", "--source", "mine.py")
    assert done.returncode == 2
    assert "mine.py, line 6: " in done.stderr
    assert part in done.stderr
    assert len(archive.approvals.pending()) == 2


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
