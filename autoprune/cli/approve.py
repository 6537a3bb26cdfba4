"""`autoprune approve`: decisions on pending candidates, also while their search runs in another process."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autoprune.cli import complete
from autoprune.cli.common import console, print_json
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.options import Run
from autoprune.config_agents import Answer
from autoprune.errors import UsageError
from autoprune.report.text import one_line, plain
from autoprune.runs.directory import RunDirectory
from autoprune.text_files import read_text_file

if TYPE_CHECKING:
    from autoprune.runs.approvals import ApprovalRequest, Decision
    from autoprune.runs.archive import Archive

Mode = Literal["auto", "human"]


def approve(
    run: Run,
    candidate: Annotated[
        str | None,
        typer.Argument(help="A slot (g2.c1) or a prefix of a candidate's hash.", autocompletion=complete.waiting),
    ] = None,
    decision: Annotated[Answer | None, typer.Option(help="The decision; prompts for it by default.")] = None,
    comment: Annotated[str, typer.Option(help="Reason; with reject, it is passed to the proposer.")] = "",
    source: Annotated[Path | None, typer.Option(help="With modify: the file to run instead.")] = None,
    rest: Annotated[bool, typer.Option("--rest", help="Approve all pending and future candidates.")] = False,
    mode: Annotated[Mode | None, typer.Option(help="Approval mode of all future candidates.")] = None,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print pending candidates or decisions as JSON.")] = False,
) -> None:
    """Approve, edit or reject candidates. Without a decision and a terminal, list pending candidates."""
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts

    directory = open_run(run, trust)
    if (source is not None) != (decision == "modify"):
        raise UsageError("--decision modify and --source FILE must be used together")
    if rest and (candidate or decision):
        raise UsageError("--rest approves all candidates; it cannot be combined with a candidate or another decision")
    if mode and (candidate or decision or rest):
        raise UsageError("--mode changes the mode of the run; it cannot be combined with a candidate or a decision")
    if comment and not decision:
        raise UsageError("--comment needs --decision")
    announce(directory, directory.settings()[0])
    with reading_facts(directory), closing(Archive.of(directory)) as archive:
        pending = _chosen(archive, candidate)
        if mode:
            from autoprune.api.decisions import person
            from autoprune.runs.approvals import Switch

            archive.approvals.switch(Switch(approval=mode, who=person()))
            _print(directory, [], as_json, f"approval mode: {mode}")
        elif rest:
            from autoprune.api.decisions import approve_rest

            _print(directory, approve_rest(archive), as_json, "approval mode: auto")
        elif decision is not None:
            _print(directory, [_answer(directory, archive, pending, decision, comment, source)], as_json)
        elif as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _list(pending, as_json)
        else:
            _ask(directory, archive, pending)


def _chosen(archive: "Archive", name: str | None) -> "list[ApprovalRequest]":
    """All pending requests, or the one with a slot or the start of a content hash."""
    pending = archive.approvals.pending()
    if name is None:
        return pending
    matching = [request for request in pending if request.slot == name or request.candidate.startswith(name)]
    if matching:
        return matching[:1]
    for decision in reversed(archive.approvals.decisions()):
        if decision.slot == name or decision.candidate.startswith(name):
            from autoprune.api.decisions import AlreadyDecided

            raise AlreadyDecided(decision)
    slots = ", ".join(request.slot for request in pending) or "nothing"
    raise UsageError(f"no candidate {name!r} is pending in this run; pending: {slots}")


def _answer(
    run: RunDirectory,
    archive: "Archive",
    pending: "list[ApprovalRequest]",
    answer: Answer,
    comment: str,
    source: Path | None,
) -> "Decision":
    from autoprune.api.decisions import decide, decide_modified

    if len(pending) != 1:
        slots = ", ".join(request.slot for request in pending)
        problem = f"several candidates are pending ({slots}); name one" if pending else "no candidate is pending"
        raise UsageError(problem)
    if source is not None:
        return decide_modified(run, archive, pending[0], _candidate_in(source, run), comment)
    return decide(archive, pending[0], answer, comment)


def _candidate_in(file: Path, run: RunDirectory) -> str:
    from autoprune.api.decisions import edited, refused

    source, findings = edited(run, read_text_file(file, "the candidate"))
    if finding := refused(findings):
        raise UsageError(f"{file}, line {finding.line}: {finding.message}")
    return source


def _print(run: RunDirectory, decisions: "list[Decision]", as_json: bool, more: str = "") -> None:
    if as_json:
        print_json([decision.model_dump() for decision in decisions])
        return
    for decision in decisions:
        console().print(plain(f"{decision.slot} {decision.candidate[:8]}: {decision.decision} by {decision.who}"))
    if more:
        console().print(plain(more))
    console().print(plain(f"if the search is not running, continue with: autoprune resume {run.path}"), soft_wrap=True)


def _list(pending: "list[ApprovalRequest]", as_json: bool) -> None:
    if as_json:
        print_json([request.model_dump() for request in pending])
        return
    for request in pending:
        idea = one_line(request.thought.get("idea", ""))
        console().print(plain(f"{request.slot} {request.candidate[:8]} {request.operator} ({request.engine}): {idea}"))
    if not pending:
        console().print(plain("no candidate is pending"))


def _ask(run: RunDirectory, archive: "Archive", pending: "list[ApprovalRequest]") -> None:
    from autoprune.cli.dialog import Dialog, Stopped

    dialog = Dialog(run, archive, console())
    try:
        for request in pending:
            dialog.ask_pending(request.slot)
    except Stopped:
        pass
    if not pending:
        console().print(plain("no candidate is pending"))
    console().print(plain(f"if the search is not running, continue with: autoprune resume {run.path}"), soft_wrap=True)
