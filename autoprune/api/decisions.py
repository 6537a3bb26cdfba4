"""A person's decisions on pending candidates, from a terminal or from the live page. The first decision stands."""

import getpass
import os

from autoprune.candidates.inlining import inlined
from autoprune.candidates.screen import Finding, screen
from autoprune.errors import UsageError
from autoprune.report.live import decision_line
from autoprune.runs.approvals import ApprovalRequest, Decision, Switch
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.search.found import found_functions


class AlreadyDecided(UsageError):
    """Another decision on the candidate was stored before this one."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(f"already decided: {decision_line(decision.model_dump())}")


def person() -> str:
    """The name of this process's user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        return f"user {os.getuid()}"


def decide(
    archive: Archive,
    request: ApprovalRequest,
    decision: str,
    comment: str = "",
    replacement: str | None = None,
    sha256: str = "",
    who: str = "",
) -> Decision:
    """Store a decision, by default of this process's user. Raises AlreadyDecided if another one stands.

    `sha256`: the full hash of the source `replacement`.
    """
    facts: dict[str, str | None] = {"slot": request.slot, "candidate": request.candidate, "decision": decision}
    facts |= {"who": who or person(), "comment": comment, "replacement": replacement}
    made = Decision.model_validate({**facts, "sha256": sha256 or request.sha256})
    standing = archive.approvals.decide(made)
    if standing != made:
        raise AlreadyDecided(standing)
    return standing


def decide_modified(
    run: RunDirectory, archive: Archive, request: ApprovalRequest, source: str, comment: str = "", who: str = ""
) -> Decision:
    """Approve a screened source instead of the proposed one. Raises UsageError if it is the same."""
    replacement = run.save_source(source)
    if replacement == request.candidate:
        raise UsageError("the edited code equals the pending code; approve it, or change it")
    return decide(archive, request, "modify", comment, replacement, full_hash(source), who)


def approve_rest(archive: Archive, who: str = "") -> list[Decision]:
    """Approve all pending candidates, and switch the run to automatic approval. Returns the decisions that stand."""
    archive.approvals.switch(Switch(approval="auto", who=who or person()))
    decisions = []
    for request in archive.approvals.pending():
        try:
            decisions.append(decide(archive, request, "approve", "with the rest", who=who))
        except AlreadyDecided:  # by another approver, meanwhile
            continue
    return decisions


def edited(run: RunDirectory, source: str) -> tuple[str, list[Finding]]:
    """A person's source as it would run, with found functions inlined, and the findings of the source screen."""
    whole = inlined(source, found_functions(run, run.settings()[0]))
    return whole, screen(whole)


def refused(findings: list[Finding]) -> Finding | None:
    """The finding for which a source cannot run as a candidate, if any."""
    return next((finding for finding in findings if finding.severity == "error"), None)


def as_lines(findings: list[Finding]) -> list[str]:
    """The findings of the source screen as text."""
    return [f"{finding.severity}, line {finding.line}: {finding.message}" for finding in findings]
