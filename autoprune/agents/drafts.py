"""The tool `try_layers` of a strong model: its draft runs on a few layers before it submits a candidate.

A draft runs without being approved by a person, so the tool exists only where nobody has to be asked: with
`approval=auto`. Measurements by workers of another executor are outside this process's compute lock, and drafts
would slow them down, so it needs `executor.kind=here`.
"""

import re
from collections.abc import Mapping
from string import Template

from autoprune.agents.approval import Approver
from autoprune.agents.edits import edited, has_edits, named_source
from autoprune.agents.partial import completed
from autoprune.agents.proposer import Request
from autoprune.candidates.library import FoundFunction
from autoprune.llm.code_blocks import fenced_code
from autoprune.llm.fences import next_fence
from autoprune.llm.parse import clean
from autoprune.llm.tools import Tool
from autoprune.measuring.layer_trials import LayerTrials
from autoprune.measuring.workbench import Workbench
from autoprune.tools.try_layers import TrialReport, TryLayers, try_layers

NAME = "try_layers"
MOST_DRAFTS = 3
"""Calls in one proposal."""
PURPOSE = Template(
    "Runs a draft, the whole file or edits as you would submit them, in the sandbox on a few layers of the target: its "
    "weighted reconstruction error beside that of Wanda and of the first parent with as many zeros, the seconds that "
    "all layers would take, or its exception. At most $most calls."
)
TRY = re.compile(
    r"^[ \t>*_#`]*TRY[ \t:*_`]*$\s*^(?P<rest>(?:EDITS\b[^\n]*\n\s*)?(?:[`~]{3}|<{5}).*)", re.MULTILINE | re.DOTALL
)
"""The line by which a model that cannot call tools asks for a trial of the code, or the edits, behind it."""
ANSWERED = re.compile(r"^\W*IDEA\W*:", re.MULTILINE | re.IGNORECASE)
"""A label of an answer; behind TRY, it shows that the model went on without the trial."""


class Drafts:
    """Makes the tool for a proposal. `found`: the found functions that candidates may use."""

    def __init__(self, workbench: Workbench, approver: Approver, found: Mapping[str, FoundFunction]) -> None:
        self._workbench = workbench
        self._approver = approver
        self._found = found

    def unavailable(self) -> str:
        """Why the tool is not offered in this run; empty if it is. By the run's settings alone, so that a resumed run
        asks the same questions."""
        config = self._workbench.config
        if config.approval != "auto":
            return f"a draft runs unapproved, and approval is {config.approval}"
        if config.executor.kind != "here":
            return f"drafts would compete with the workers of the executor {config.executor.kind}"
        return ""

    def tool(self, request: Request) -> Tool:
        """The tool for a proposal, whose drafts may leave a part to its first parent."""
        parent = request.parents[0].source if request.parents else None
        trials = LayerTrials(self._workbench, parent, self._found)

        def run(draft: TryLayers) -> str:
            text = clean(draft.source)
            try:
                if has_edits(text):
                    source = edited(text, named_source(text, request.known) or parent)
                else:
                    source = completed(_unfenced(text), parent)
            except ValueError as problem:
                return f"the draft cannot be put together with its parent: {problem}"
            with self._workbench.measurer.lock:  # which may take minutes, in which a person may switch the mode
                mode = self._approver.mode
                if mode != "auto":
                    return f"no draft can be tried now: approval is {mode}, so that no code runs unapproved"
                return as_text(try_layers(trials, TryLayers(source=source)))

        return Tool(NAME, PURPOSE.substitute(most=MOST_DRAFTS), TryLayers, run, MOST_DRAFTS, written_draft)


def written_draft(text: str) -> dict[str, str] | None:
    """The arguments of a trial that a reply asks for without a tool call; None if the reply is an answer."""
    asked = TRY.search(text)
    return {"source": asked["rest"]} if asked and not ANSWERED.search(asked["rest"]) else None


def as_text(report: TrialReport) -> str:
    """The report for the model: what came of it in two lines, then a line for each layer."""
    of_all = f"a candidate has {report.allowed_seconds:g} s for all {report.all_layers} layers"
    if report.status == "failed":
        late = f"; a draft has {report.trial_seconds:g} s for a few layers, {of_all}" * (report.reason == "timeout")
        return f"the draft failed: {report.stage}: {report.reason}: {report.message}{late}"
    others = [
        f"{multiple:.4g} times {whose}"
        for multiple, whose in ((report.of_wanda, "Wanda's"), (report.of_parent, "the parent's"))
        if multiple is not None
    ]
    compared = "weighted reconstruction error (no perplexity) with as many zeros in each of these layers"
    parent = f"; the parent failed on them: {report.parent_problem}" if report.parent_problem else ""
    lines = [
        f"{compared}: {', '.join(others) or 'nothing to compare with'}{parent}",
        f"all layers would take about {report.seconds or 0.0:.3g} s; {of_all}",
        "layer: share of zeros, relative error of the draft, of Wanda, of the parent",
    ]
    for layer in report.layers:
        errors = [error for error in (layer.error, layer.wanda, layer.parent) if error is not None]
        lines.append(f"{layer.name}: {layer.sparsity:.3f}, {', '.join(f'{error:.4g}' for error in errors)}")
    return "\n".join(lines)


def _unfenced(source: str) -> str:
    """The code of a draft that was sent as a fenced block."""
    fence = next_fence(source, 0)
    return fenced_code(source) or source if fence is not None and not source[: fence.start].strip() else source
