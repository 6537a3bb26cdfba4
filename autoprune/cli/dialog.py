"""Asks a person on a terminal for approval of candidates. Each answer is stored in the run's archive at once.

The terminal is read by its descriptor, so that a question can be cancelled when another process has answered it or the
run has ended.
"""

import os
import select
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import click
from rich.console import Console

from autoprune.api.decisions import AlreadyDecided, approve_rest, as_lines, decide, decide_modified, edited, refused
from autoprune.candidates.screen import screen
from autoprune.cli.pager import show_paged
from autoprune.errors import UsageError
from autoprune.report.request import changes_view, request_view, whole_view
from autoprune.report.text import plain
from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.text_files import decode_text, with_line_feeds

POLL = 0.2
"""Seconds between checks whether a question is still open."""
ANSWERS = {"a": "approve", "v": "view", "e": "edit", "r": "reject", "t": "the rest", "s": "stop"}
QUESTION = "[a]pprove, [v]iew, [e]dit, [r]eject, approve [t]he rest, [s]top? "
COMMENT = "comment for the proposer (Enter for none): "


class Stopped(Exception):
    """The person has stopped answering, or the terminal was closed."""


class GivenUp(Exception):
    """The run has ended, so the question is no longer open."""


@dataclass
class Dialog:
    """One person at one terminal. `over`: whether no more questions are needed; `held`: keeps other output off the
    screen while a question is open."""

    run: RunDirectory
    archive: Archive
    screen: Console
    terminal: int = 0
    over: Callable[[], bool] = lambda: False
    held: Callable[[], AbstractContextManager[None]] = nullcontext
    _typed: bytes = field(default=b"", init=False)

    def attend(self) -> None:
        """Ask about each request when it arrives, until `over` or until the person stops."""
        while not self.over():
            try:
                if not self.ask_pending():
                    select.select([], [], [], POLL)
            except Stopped:
                return

    def ask_pending(self, only: str | None = None) -> bool:
        """Ask about the pending requests, or those of one slot. Returns whether there were any. Raises Stopped."""
        pending = [request for request in self.archive.approvals.pending() if only in (None, request.slot)]
        for request in pending:
            with self.held():
                try:
                    self._ask(request)
                except GivenUp:
                    self.screen.print()
                except AlreadyDecided as problem:  # by another process
                    self.screen.print(plain(f"\n{problem}"))
        return bool(pending)

    def _ask(self, request: ApprovalRequest) -> None:
        proposed = source = self.run.source(request.candidate)
        parent = self.run.source(request.parent_source) if request.parent_source else None
        self.screen.print(request_view(request, source, parent, as_lines(screen(source))))
        while True:
            match self._choice(request):
                case "approve":
                    self._decide(request, source, proposed)
                    return
                case "view":
                    show_paged(self.screen, whole_view(request, source, parent))
                case "edit":
                    source = self._edited(source, proposed)
                case "reject":
                    comment = self._line(COMMENT, request)
                    decide(self.archive, request, "reject", comment=comment)
                    return
                case "the rest":
                    self._decide(request, source, proposed)
                    approve_rest(self.archive)
                    return
                case "stop":
                    raise Stopped

    def _decide(self, request: ApprovalRequest, source: str, proposed: str) -> None:
        if source == proposed:
            decide(self.archive, request, "approve")
        else:
            decide_modified(self.run, self.archive, request, source)

    def _edited(self, source: str, proposed: str) -> str:
        """The source after editing; the former source if the result cannot run as a candidate."""
        try:
            data = click.edit(source.encode(), extension=".py")
            saved = source if data is None else decode_text(data, "what the editor saved")
        except click.ClickException as problem:
            self.screen.print(plain(f"{problem.message}; set EDITOR to a working editor"))
            return source
        except UsageError as problem:
            self.screen.print(plain(f"{problem}; the code is unchanged"))
            return source
        if with_line_feeds(saved) == with_line_feeds(source):
            self.screen.print(plain("no changes"))
            return source
        changed, findings = edited(self.run, saved)
        self.screen.print(changes_view(proposed, changed, as_lines(findings)))
        if refused(findings):
            self.screen.print(plain("this cannot run as a candidate; the code is unchanged"))
            return source
        return changed

    def _choice(self, request: ApprovalRequest) -> str:
        while True:
            word = self._line(QUESTION, request).lower()
            chosen = ANSWERS.get(word) or next((answer for answer in ANSWERS.values() if answer == word), None)
            if chosen:
                return chosen
            self.screen.print(plain(f"{word!r} is not one of {', '.join(ANSWERS)}"))

    def _line(self, prompt: str, request: ApprovalRequest) -> str:
        """A line of input. Raises GivenUp when no more questions are needed, AlreadyDecided when another process has
        decided, Stopped at the end of input."""
        self.screen.print(plain(prompt), end="", soft_wrap=True)
        while b"\n" not in self._typed:
            if self.over():
                raise GivenUp
            if standing := self.archive.approvals.decision(request.slot, request.candidate):
                raise AlreadyDecided(standing)
            if select.select([self.terminal], [], [], POLL)[0]:
                piece = os.read(self.terminal, 4096)
                if not piece:
                    raise Stopped
                self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()
