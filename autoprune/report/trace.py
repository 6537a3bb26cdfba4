"""The trace: a run as a tree of reasoning with its evidence, or one candidate from chain of thought to result."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from autoprune.report.live import describe
from autoprune.report.picture import Picture
from autoprune.report.tables import final_table
from autoprune.report.text import duration, one_line, plain, visible
from autoprune.runs.archive import Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event

_STYLES = {"measured": "green", "failed": "red"}


def run_trace(archive: Archive, events: Sequence[Event]) -> RenderableType:
    """All generations: who proposed what from which parents, how it ended, and the lessons."""
    picture = Picture.of(events)
    root = Tree(_headline(picture))
    if picture.dense is not None:
        root.add(plain(f"dense model: perplexity {picture.dense:.2f} on the search split", "dim"))
    for name, perplexity in sorted(picture.baselines.items(), key=lambda item: item[1]):
        root.add(plain(f"baseline {name}: {perplexity:.2f}", "dim"))
    outcomes = {outcome.slot: outcome for outcome in archive.outcomes()}
    lessons = {event.data["generation"]: event.data for event in events if event.kind == "lesson"}
    branches: dict[int, Tree] = {}
    for proposal in archive.proposals():
        branch = branches.setdefault(proposal.generation, Tree(Text(f"generation {proposal.generation}", "bold")))
        if proposal == archive.proposal(proposal.slot):
            _add_candidate(branch, proposal, outcomes.get(proposal.slot))
    for generation, branch in branches.items():
        if generation in lessons:
            lesson = lessons[generation]
            branch.add(plain(f"lesson ({lesson['by']}): {one_line(lesson['text'], 600)}", "magenta"))
        root.add(branch)
    return Group(root, final_table(picture)) if picture.rows else root


def candidate_trace(run: RunDirectory, archive: Archive, events: Sequence[Event], slot: str) -> RenderableType:
    """One candidate: the chain of thought that went into its prompt, its thought, code, reviews and result."""
    revisions = [proposal for proposal in archive.proposals() if proposal.slot == slot]
    last = revisions[-1]
    parts: list[RenderableType] = [
        plain(f"{slot}: {last.operator} by {last.engine}, from {', '.join(last.parents) or 'nothing'}", "bold"),
        Panel(_chain(last), title="chain of thought in the prompt", title_align="left"),
        Panel(_thought(last.thought), title="thought", title_align="left"),
    ]
    if last.candidate is not None:
        code = Syntax(
            visible(run.source(last.candidate).rstrip(), 100_000), "python", line_numbers=True, word_wrap=True
        )
        parts.append(Panel(code, title=f"candidate {last.candidate}", title_align="left"))
    lines = [describe(event) for event in events if event.data.get("slot") == slot]
    parts += [line for line in lines if line is not None]
    outcome = next((outcome for outcome in archive.outcomes() if outcome.slot == slot), None)
    if outcome is not None:
        parts.append(Panel(_result(outcome), title="result", title_align="left"))
    return Group(*parts)


def _headline(picture: Picture) -> Text:
    model, sparsity = picture.started.get("model", "?"), picture.started.get("sparsity", "?")
    line = Text(f"search on {visible(model)} at sparsity {sparsity}", style="bold")
    if picture.spent:
        tokens = f", {picture.spent['tokens']:,} tokens" if picture.spent["tokens"] else ""
        line.append(
            f"  {picture.spent['candidates']} candidates in {duration(picture.spent['seconds'])}{tokens}", "dim"
        )
    return line


def _add_candidate(branch: Tree, proposal: Proposal, outcome: Outcome | None) -> None:
    parents = f" from {', '.join(proposal.parents)}" if proposal.parents else ""
    node = branch.add(plain(f"{proposal.slot} {proposal.operator} ({proposal.engine}){parents}", "cyan"))
    if proposal.thought.get("why"):
        node.add(plain(f"why: {one_line(proposal.thought['why'], 400)}"))
    if proposal.thought.get("idea"):
        node.add(
            plain(f"idea: {one_line(proposal.thought['idea'], 400)} (expected {proposal.thought.get('expected')})")
        )
    if outcome is not None:
        node.add(plain(_ending(outcome), _STYLES.get(outcome.status, "yellow")))


def _ending(outcome: Outcome) -> str:
    if outcome.status == "measured":
        return (
            f"measured: perplexity {outcome.data['perplexity']:.2f}, gain {outcome.data['gain']:+.3f} over its parent"
        )
    return f"{outcome.status} at {outcome.stage} ({outcome.reason}): {one_line(outcome.message, 400)}"


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


def _result(outcome: Outcome) -> RenderableType:
    lines = [plain(_ending(outcome), _STYLES.get(outcome.status, "yellow"))]
    for key in ("sparsity", "zeros", "agreement", "nearest", "worst_layers", "seconds", "flags", "diagnostics"):
        if outcome.data.get(key):
            lines.append(plain(f"{key}: {outcome.data[key]}"))
    return Group(*lines)
