"""Candidates that wait for approval, and what a person at a terminal has: an editor, a pager, a keyboard."""

from autoprune.runs.approvals import ApprovalRequest, Decision

PARENT = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs()\n"
SHOWN = PARENT.replace("abs()", "abs() * layer.input_norm")
HOSTILE = "[/foo] [bold] \x1b[2J\x1b]0;title\x07 \u202e"
HIDING = {
    "line separator": ("# kept:\u2028    return 1\n", "U+2028"),
    "lone carriage return": ("# nothing to see\rprint(1)\n", "U+000D"),
    "direction": ("x = 1  # \u202e\n", "U+202E"),
    "too deep": (f"x = {'-' * 500}1\n", "levels deep"),
    "too large a number": (f"x = 0x{'f' * 5000}\n", "1024 bits"),
}
LONG = "".join(
    f'\n\ndef helper_{number}(x):\n    """Helper {number}."""\n' + "    x = x + 1\n" * 20 + "    return x\n"
    for number in range(3)
)
REASONING = "The norm of the inputs differs between blocks. " * 400
HIDDEN = "# \x1b[2J \u202e\n"


def said(archive):
    return {each.slot: (each.decision, each.comment) for each in archive.approvals.decisions()}


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


def editor(tmp_path, monkeypatch, command):
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\n{command}\n")
    script.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))


def pager(tmp_path, command):
    (tmp_path / "pager").write_text(f"#!/bin/sh\n{command}\n")
    (tmp_path / "pager").chmod(0o755)
    return str(tmp_path / "pager")
