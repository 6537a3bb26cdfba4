"""A run whose candidates wait, and a desk at which a person answers."""

import io
import os
import pty

import pytest
from rich.console import Console

from autoprune.cli.dialog import Dialog
from autoprune.config import Config
from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.cli.approve.waiting import HIDDEN, HOSTILE, PARENT, SHOWN, ask_long


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


@pytest.fixture
def long_one(run, archive):
    return ask_long(run, archive)


@pytest.fixture
def hiding_one(run, archive):
    return ask_long(run, archive, HIDDEN)
