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
from rich.console import Console, RenderableType

from autoprune.candidates.inlining import inlined
from autoprune.candidates.screen import Finding, screen
from autoprune.cli.common import person
from autoprune.errors import UsageError
from autoprune.report.request import changes_view, request_view, whole_view
from autoprune.report.text import plain
from autoprune.runs.approvals import ApprovalRequest, Decision, Switch
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.search.found import found_functions
from autoprune.text_files import decode_text, with_line_feeds

POLL = 0.2
"""Seconds between checks whether a question is still open."""
ANSWERS = {"a": "approve", "v": "view", "e": "edit", "r": "reject", "t": "the rest", "s": "stop"}
QUESTION = "[a]pprove, [v]iew, [e]dit, [r]eject, approve [t]he rest, [s]top? "
COMMENT = "comment for the proposer (Enter for none): "


class Stopped(Exception):
    """The person has stopped answering, or the terminal was closed."""


class GivenUp(Exception):
    """The question is no longer open."""


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
                    self.screen.print(plain("" if self.over() else f"\n{request.slot} was decided in another process"))
        return bool(pending)

    def _ask(self, request: ApprovalRequest) -> None:
        proposed = source = self.run.source(request.candidate)
        parent = self.run.source(request.parent_source) if request.parent_source else None
        self.screen.print(request_view(request, source, parent, findings_of(screen(source))))
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
            replacement = self.run.save_source(source)
            decide(self.archive, request, "modify", "", replacement, full_hash(source))

    def _edited(self, source: str, proposed: str) -> str:
        """The source after editing; the former source if the result cannot run as a candidate."""
        try:
            data = click.edit(source.encode(), extension=".py")
            edited = source if data is None else decode_text(data, "what the editor saved")
        except click.ClickException as problem:
            self.screen.print(plain(f"{problem.message}; set EDITOR to a working editor"))
            return source
        except UsageError as problem:
            self.screen.print(plain(f"{problem}; the code is unchanged"))
            return source
        if with_line_feeds(edited) == with_line_feeds(source):
            self.screen.print(plain("no changes"))
            return source
        edited = inlined(edited, found_functions(self.run, self.run.settings()[0]))
        findings = screen(edited)
        self.screen.print(changes_view(proposed, edited, findings_of(findings)))
        if any(finding.severity == "error" for finding in findings):
            self.screen.print(plain("this cannot run as a candidate; the code is unchanged"))
            return source
        return edited

    def _choice(self, request: ApprovalRequest) -> str:
        while True:
            word = self._line(QUESTION, request).lower()
            chosen = ANSWERS.get(word) or next((answer for answer in ANSWERS.values() if answer == word), None)
            if chosen:
                return chosen
            self.screen.print(plain(f"{word!r} is not one of {', '.join(ANSWERS)}"))

    def _line(self, prompt: str, request: ApprovalRequest) -> str:
        """A line of input. Raises GivenUp when the request is no longer open, Stopped at the end of input."""
        self.screen.print(plain(prompt), end="", soft_wrap=True)
        while b"\n" not in self._typed:
            if self.over() or self.archive.approvals.decision(request.slot, request.candidate):
                raise GivenUp
            if select.select([self.terminal], [], [], POLL)[0]:
                piece = os.read(self.terminal, 4096)
                if not piece:
                    raise Stopped
                self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()


def findings_of(findings: list[Finding]) -> list[str]:
    """The findings of the source screen as text."""
    return [f"{finding.severity}, line {finding.line}: {finding.message}" for finding in findings]


def decide(
    archive: Archive,
    request: ApprovalRequest,
    decision: str,
    comment: str = "",
    replacement: str | None = None,
    sha256: str = "",
) -> Decision:
    """Store this person's decision; returns the decision that stands, which may be an earlier one.

    `sha256`: the full hash of the source `replacement`.
    """
    facts: dict[str, str | None] = {"slot": request.slot, "candidate": request.candidate, "decision": decision}
    facts |= {"who": person(), "comment": comment, "replacement": replacement, "sha256": sha256 or request.sha256}
    return archive.approvals.decide(Decision.model_validate(facts))


def show_paged(screen: Console, content: RenderableType) -> None:
    """Print it, on a terminal through `$PAGER` or `less`; without the pager if it does not start."""
    if not screen.is_terminal:
        screen.print(content)
        return
    with screen.capture() as captured:
        screen.print(content)
    try:
        click.echo_via_pager(captured.get())
    except (OSError, ValueError) as problem:
        screen.print(content)
        screen.print(plain(f"PAGER does not start: {problem}"))


def approve_rest(archive: Archive) -> list[Decision]:
    """Approve all pending candidates, and switch the run to automatic approval."""
    archive.approvals.switch(Switch(approval="auto", who=person()))
    return [decide(archive, request, "approve", "with the rest") for request in archive.approvals.pending()]
