"""One run behind its live page: what waits for approval, and what the page can do. Same functions as the commands.

A decision names the SHA-256 of the code that the page showed. It is refused if that is not the code which would run.
"""

import shlex
import threading
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from autoprune.api.decisions import approve_rest, as_lines, decide, decide_modified, edited, person, refused
from autoprune.api.forking import fork_settings, make_fork
from autoprune.api.run_data import report_page
from autoprune.candidates.screen import screen
from autoprune.errors import UsageError
from autoprune.report.code import diff, revealed
from autoprune.report.html.candidates import thought_pairs
from autoprune.report.html.safe import cut
from autoprune.report.live import decision_line
from autoprune.report.text import MOST_THOUGHT, REASONING
from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.control import request_stop
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.text_files import with_line_feeds
from autoprune.web.forks import Forks

NAME = 200
"""Maximum characters of a name."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shown(_Body):
    """A pending candidate with the full hash of the code that was shown."""

    slot: str
    candidate: str
    sha256: str


class Draft(Shown):
    """A person's code in place of the candidate's."""

    source: str


class Answer(Shown):
    """A decision. With `modify`: the code to run instead, and its full hash as `check` returned it."""

    decision: Literal["approve", "reject", "modify"]
    comment: str = ""
    source: str = ""
    edited_sha256: str = ""


class ForkWanted(_Body):
    """A fork: `key=value` words as in a shell, and the generation to start from (None: the last)."""

    words: str = ""
    generation: int | None = None


class LiveRun:
    """A run that another process may work on meanwhile. Thread-safe. `who`: the author of decisions from the page."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.config = directory.settings()[0]
        self.who = f"{person()} on the live page"
        self.forks = Forks()
        self._archive: Archive | None = None
        self._lock = threading.Lock()
        self._drawing = threading.Lock()

    @property
    def archive(self) -> Archive | None:
        """The run's archive; None before the search has made it."""
        with self._lock:
            if self._archive is None and (self.directory.archive_file.is_file() or self.directory.schema()):
                self._archive = Archive.of(self.directory)
            return self._archive

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()

    def pending(self) -> list[ApprovalRequest]:
        archive = self.archive
        return archive.approvals.pending() if archive else []

    def mode(self) -> str:
        """The approval mode that applies now."""
        switched = self.archive.approvals.switched() if self.archive else None
        return switched.approval if switched else self.config.approval

    def request(self, slot: str, candidate: str) -> dict[str, Any]:
        """Everything that a person needs to decide on a candidate, and the decision if there is one."""
        archive, request = self._request(slot, candidate)
        source = self.directory.source(request.candidate)
        parent = self.directory.source(request.parent_source) if request.parent_source else None
        findings = as_lines(screen(source))
        decision = archive.approvals.decision(slot, candidate)
        return {
            "slot": request.slot,
            "candidate": request.candidate,
            "sha256": full_hash(source),
            "operator": cut(request.operator, NAME),
            "engine": cut(request.engine, NAME),
            "parent": cut(request.parent, NAME),
            "thought": thought_pairs(request.thought, MOST_THOUGHT),
            "reasoning": cut(request.thought.get(REASONING) or "", MOST_THOUGHT),
            "review": [cut(line, MOST_THOUGHT) for line in request.review if line not in findings],
            "findings": findings,
            "source": source,
            "code": _readable(source),
            "difference": _difference(parent, source, request.parent, slot) if parent is not None else "",
            "decision": decision_line(decision.model_dump()) if decision else "",
        }

    def check(self, draft: Draft) -> dict[str, Any]:
        """A person's code as it would run: its hash, its difference from the candidate's, and the findings on it."""
        _, _, source = self._shown(draft)
        if with_line_feeds(draft.source) == with_line_feeds(source):
            raise UsageError("the code was not changed")
        whole, findings = edited(self.directory, draft.source)
        return {
            "sha256": full_hash(whole),
            "difference": _difference(source, whole, "proposed", "edited"),
            "findings": as_lines(findings),
            "refused": refused(findings) is not None,
        }

    def decide(self, answer: Answer) -> dict[str, Any]:
        """Store a decision. Raises AlreadyDecided if another one stands, UsageError for code that was not shown."""
        archive, request, _ = self._shown(answer)
        if answer.decision == "modify":
            whole, findings = edited(self.directory, answer.source)
            if finding := refused(findings):
                raise UsageError(f"line {finding.line}: {finding.message}")
            if full_hash(whole) != answer.edited_sha256:
                raise UsageError("the edited code is not the code that was checked; check it again")
            stored = decide_modified(self.directory, archive, request, whole, answer.comment, self.who)
        else:
            stored = decide(archive, request, answer.decision, answer.comment, who=self.who)
        return {"decision": decision_line(stored.model_dump())}

    def approve_rest(self) -> dict[str, Any]:
        archive = self.archive
        if archive is None:
            raise UsageError("the search has not started")
        return {"approved": len(approve_rest(archive, self.who))}

    def stop(self) -> dict[str, Any]:
        request_stop(self.directory, self.who)
        return {}

    def fork(self, wanted: ForkWanted) -> dict[str, Any]:
        """Make the new run, and let a process of its own work on it."""
        try:
            words = shlex.split(wanted.words)
        except ValueError as error:
            raise UsageError(f"the settings cannot be read: {error}") from None
        forked = make_fork(self.directory, wanted.generation, fork_settings(self.directory, words), None)
        self.forks.start(forked)
        return {"path": str(forked.path)}

    def report(self) -> str:
        """The report as it is now. One at a time, since it takes seconds."""
        if self.archive is None:
            raise UsageError(f"{self.directory.path} has no archive yet: the search has not started")
        with self._drawing:
            return report_page(self.directory)

    def _request(self, slot: str, candidate: str) -> tuple[Archive, ApprovalRequest]:
        archive = self.archive
        request = archive.approvals.request(slot, candidate) if archive else None
        if archive is None or request is None:
            raise UsageError(f"{slot} {candidate[:8]} was not submitted for approval in this run")
        return archive, request

    def _shown(self, shown: Shown) -> tuple[Archive, ApprovalRequest, str]:
        """Archive, request and source of a candidate. Raises UsageError if the page showed other code."""
        archive, request = self._request(shown.slot, shown.candidate)
        source = self.directory.source(request.candidate)
        if shown.sha256 != full_hash(source) or request.sha256 not in ("", shown.sha256):
            raise UsageError(f"the code of {shown.slot} is not the code that this page showed; reload the page")
        return archive, request, source


def _readable(source: str) -> str:
    """The whole source with the numbers of invisible characters."""
    return revealed(source, len(source))


def _difference(before: str, after: str, name: str, other: str) -> str:
    return _readable("\n".join(diff(before, after, name, other)))
