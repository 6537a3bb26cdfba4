"""The view of an approval request: thought, code, difference to the parent, review, findings."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from autoprune.report.code import LONGEST_CODE, code, difference
from autoprune.report.compared import compared
from autoprune.report.folded import folded
from autoprune.report.formulas import formula_of
from autoprune.report.outline import is_long, lines_of
from autoprune.report.text import LONGEST, MOST_THOUGHT, REASONING, gist, one_line, plain
from autoprune.runs.approvals import ApprovalRequest

VIEW = "[v]iew"
"""The answer that shows everything."""


def request_view(request: ApprovalRequest, source: str, parent: str | None, findings: Sequence[str]) -> RenderableType:
    """A request with the `source` that would run and that of its `parent`, if any.

    For a long source, helpers are folded and the difference is shown first.
    """
    origin = f", from {request.parent}" if request.parent else ""
    parts: list[RenderableType] = [
        plain(f"{request.slot} needs approval: {request.operator} by {request.engine}{origin}", "bold"),
        Panel(_thought(request, whole=False), title="thought", title_align="left"),
        Panel(folded(source, VIEW), title=f"code of {request.candidate[:8]}", title_align="left"),
    ]
    if parent is not None:
        parts.insert(2 if is_long(source) else 3, compared(parent, source, request.parent, request.slot, VIEW))
    comments = [line for line in request.review if line not in findings]
    parts.append(plain(f"critic: {one_line('; '.join(comments), 600) or 'no comment'}"))
    parts.append(_found(findings))
    return Group(*parts)


def whole_view(request: ApprovalRequest, source: str, parent: str | None) -> RenderableType:
    """A request without folds: the source in its own order, difference, thought."""
    parts: list[RenderableType] = [
        plain(f"code of {request.slot}, {len(lines_of(source)):,} lines", "bold"),
        code(source, line_numbers=True),
    ]
    if len(source) > LONGEST_CODE:
        parts.append(plain(f"cut: {LONGEST_CODE:,} of {len(source):,} characters are shown", "yellow"))
    if parent is not None:
        parts.append(plain(f"difference from {one_line(request.parent, 40)}", "bold"))
        parts.append(difference(parent, source, request.parent, request.slot))
    parts.append(Panel(_thought(request, whole=True), title="thought", title_align="left"))
    return Group(*parts)


def changes_view(before: str, after: str, findings: Sequence[str]) -> RenderableType:
    """The user's changes to a candidate, and the findings of the source screen on the result."""
    shown = Panel(difference(before, after, "proposed", "edited"), title="your changes", title_align="left")
    return Group(shown, _found(findings))


def _found(findings: Sequence[str]) -> Text:
    return plain(f"screen: {one_line('; '.join(findings), 600) or 'no findings'}", "yellow" if findings else "")


def _thought(request: ApprovalRequest, whole: bool) -> RenderableType:
    lines = [
        plain(f"{key}: {text}", longest=MOST_THOUGHT if whole else LONGEST)
        for key, value in request.thought.items()
        if key not in ("expression", "importance", "formula") and value
        for text in [value if whole or key != REASONING else gist(value, VIEW)]
    ]
    if formula := formula_of(request.thought):
        lines.insert(0, plain(f"formula: {formula}"))
    return Group(*lines) if lines else plain("(none)", "dim")
