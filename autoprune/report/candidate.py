"""The trace of one candidate: from the chain of thought in its prompt to its measurement, with who said what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax

from autoprune.report.cost import cost_table
from autoprune.report.live import describe
from autoprune.report.text import plain, visible
from autoprune.runs.archive import Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event

_STYLES = {"measured": "green", "failed": "red"}
_FACTS = ("sparsity", "zeros", "agreement", "nearest", "worst_layers", "seconds", "flags", "diagnostics")


@dataclass(frozen=True)
class Spending:
    """What one candidate's calls used, per agent, and what tools its models asked for (`recall(what=best)`)."""

    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()


def candidate_trace(
    run: RunDirectory, archive: Archive, events: Sequence[Event], slot: str, spending: Spending
) -> RenderableType:
    """One candidate: chain of thought, thought, code of every revision, reviews, approval, result, cost."""
    revisions = [proposal for proposal in archive.proposals() if proposal.slot == slot]
    last = revisions[-1]
    models = f" ({', '.join(spending.models)})" if spending.models else ""
    parents = ", ".join(last.parents) or "nothing"
    parts: list[RenderableType] = [
        plain(f"{slot}: {last.operator} by {last.engine}{models}, from {parents}", "bold"),
        _panel("chain of thought in the prompt", _chain(last)),
        _panel("thought", _thought(last.thought)),
    ]
    if spending.looked_up:
        parts.append(_panel("looked up by the models", Group(*(plain(call) for call in spending.looked_up))))
    parts += [_code(run, proposal) for proposal in revisions if proposal.candidate is not None]
    lines = [describe(event) for event in events if event.data.get("slot") == slot]
    parts.append(_panel("who said what", Group(*(line for line in lines if line is not None))))
    outcome = next((outcome for outcome in archive.outcomes() if outcome.slot == slot), None)
    if outcome is not None:
        parts.append(_panel("result", _result(outcome)))
    if spending.agents:
        parts.append(cost_table(spending.agents))
    return Group(*parts)


def ending(outcome: Outcome, longest: int = 400) -> str:
    """How a candidate ended, in one line."""
    if outcome.status == "measured":
        perplexity, gain = outcome.data["perplexity"], outcome.data["gain"]
        return f"measured: perplexity {perplexity:.2f}, gain {gain:+.3f} over its parent"
    message = " ".join(visible(outcome.message, longest).split())
    return f"{outcome.status} at {outcome.stage} ({outcome.reason}): {message}"


def style_of(outcome: Outcome) -> str:
    return _STYLES.get(outcome.status, "yellow")


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=title, title_align="left")


def _chain(proposal: Proposal) -> RenderableType:
    if not proposal.chain:
        return plain("(none)", "dim")
    steps = []
    for number, step in enumerate(proposal.chain, 1):
        ground = f"measured: {step['ground']}" if step["ground"] else "conjecture"
        steps.append(plain(f"{number}. [{step['node']}] {step['kind']}: {step['text']}"))
        steps[-1].append(f"  ({ground})", "green" if step["ground"] else "yellow")
    return Group(*steps)


def _thought(thought: dict[str, Any]) -> RenderableType:
    return Group(*(plain(f"{key}: {value}") for key, value in thought.items() if key != "expression" and value))


def _code(run: RunDirectory, proposal: Proposal) -> Panel:
    assert proposal.candidate is not None
    source = visible(run.source(proposal.candidate).rstrip(), 100_000)
    revision = f", revision {proposal.revision}" if proposal.revision else ""
    code = Syntax(source, "python", line_numbers=True, word_wrap=True)
    return _panel(f"candidate {proposal.candidate}{revision}", code)


def _result(outcome: Outcome) -> RenderableType:
    lines = [plain(ending(outcome), style_of(outcome))]
    lines += [plain(f"{key}: {_fact(outcome.data[key])}") for key in _FACTS if outcome.data.get(key)]
    return Group(*lines)


def _fact(value: Any) -> str:
    """A fact for people: numbers in four digits, lists and mappings without brackets."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_fact(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
