"""What a person is shown before a candidate may run: thought, code, what differs from its parent, review, findings."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from autoprune.report.code import code, difference
from autoprune.report.text import one_line, plain
from autoprune.runs.approvals import ApprovalRequest


def request_view(request: ApprovalRequest, source: str, parent: str | None, findings: Sequence[str]) -> RenderableType:
    """One request. `source` is what would run now, and `parent` what it was made from, if there is such a source."""
    origin = f", from {request.parent}" if request.parent else ""
    parts: list[RenderableType] = [
        plain(f"{request.slot} waits for approval: {request.operator} by {request.engine}{origin}", "bold"),
        Panel(_thought(request), title="thought", title_align="left"),
        Panel(code(source), title=f"code of {request.candidate[:8]}", title_align="left"),
    ]
    if parent is not None:
        title = plain(f"against {one_line(request.parent, 40)}")
        parts.append(Panel(difference(parent, source, request.parent, request.slot), title=title, title_align="left"))
    said = [line for line in request.review if line not in findings]
    parts.append(plain(f"critic: {one_line('; '.join(said), 600) or 'no comment'}"))
    parts.append(_found(findings))
    return Group(*parts)


def changes_view(before: str, after: str, findings: Sequence[str]) -> RenderableType:
    """What somebody changed in a candidate, and what the source screen found in the result."""
    shown = Panel(difference(before, after, "proposed", "edited"), title="your changes", title_align="left")
    return Group(shown, _found(findings))


def _found(findings: Sequence[str]) -> Text:
    return plain(f"screen: {one_line('; '.join(findings), 600) or 'nothing found'}", "yellow" if findings else "")


def _thought(request: ApprovalRequest) -> RenderableType:
    shown = [plain(f"{key}: {value}") for key, value in request.thought.items() if key != "expression" and value]
    return Group(*shown) if shown else plain("(none)", "dim")
