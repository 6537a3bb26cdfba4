"""The trace of one candidate, from its ancestors and its path in the reasoning graph to its measurement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from autoprune.errors import AutoPruneError
from autoprune.leagues import COMPENSATED, SHOWN, WITH_UPDATE
from autoprune.report.code import code
from autoprune.report.compared import compared
from autoprune.report.confirmation import own_verdicts, verdict_table
from autoprune.report.cost import cost_table
from autoprune.report.folded import folded
from autoprune.report.formulas import formula_of
from autoprune.report.live import describe
from autoprune.report.outline import is_long
from autoprune.report.picture import Picture
from autoprune.report.reasoning import COLOURS, grounded
from autoprune.report.text import MOST_THOUGHT, REASONING, gist, one_line, plain, visible
from autoprune.runs.archive import SEED, Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event
from autoprune.runs.names import node_id

SAID = 1000
"""Maximum characters of an agent's comment."""
WHOLE = "--whole"
"""The option that shows everything."""
_STYLES = {"measured": "green", "failed": "red"}
_FACTS = (
    *("windows_measured", "partial_perplexity", "estimated_perplexity", "sparsity", "zeros", "agreement", "nearest"),
    *("reconstruction", "worst_layers", "seconds", "memory_bytes", "cached", "flags", "diagnostics"),
)


@dataclass(frozen=True)
class Spending:
    """The cost of a candidate's calls per agent, its tool calls (`recall(what=best)`), the thinking of its models, each
    with the agent's name before it, and whether the proposer's prompt contained the chain of thought."""

    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()
    thinking: tuple[str, ...] = ()
    chain_in_prompt: bool = False

    @property
    def chain_title(self) -> str:
        return "chain of thought in the prompt" if self.chain_in_prompt else "path in the reasoning graph"


def candidate_trace(
    run: RunDirectory,
    archive: Archive,
    events: Sequence[Event],
    graph: "nx.MultiDiGraph[str]",
    slot: str,
    spending: Spending,
    whole: bool = False,
) -> RenderableType:
    """One candidate: descent, chain of thought, thought, code of every revision, reviews, approval, result, cost.

    `graph`: the reasoning graph by `GCoT.described`. `whole`: do not fold code and reasoning.
    """
    proposals = {proposal.slot: proposal for proposal in archive.proposals()}
    outcomes = {outcome.slot: outcome for outcome in archive.outcomes()}
    revisions = [proposal for proposal in archive.proposals() if proposal.slot == slot]
    last = revisions[-1]
    models = f" ({', '.join(spending.models)})" if spending.models else ""
    parents = ", ".join(last.parents) or "nothing"
    parts: list[RenderableType] = [
        plain(f"{slot}: {last.operator} by {last.engine}{models}, from {parents}", "bold"),
    ]
    if recorded := Picture.of(events).recorded:
        parts.append(plain(recorded, "yellow"))
    if line := descent(proposals, outcomes, slot):
        parts.append(_panel("line of descent", Group(*line)))
    parts += [
        _panel(spending.chain_title, _chain(last)),
        _panel("thought", _thought(last.thought, verdict(graph, node_id(slot, "idea")))),
    ]
    if last.thought.get(REASONING):
        parts.append(_panel("reasoning", _long(last.thought[REASONING], whole)))
    if spending.looked_up:
        parts.append(_panel("tool calls", Group(*(plain(call) for call in spending.looked_up))))
    if spending.thinking:
        parts.append(_panel("thinking of the models", Group(*(_long(text, whole) for text in spending.thinking))))
    parts += _codes(run, revisions, proposals.get(last.parents[0]) if last.parents else None, whole)
    lines = [describe(event, SAID) for event in events if event.data.get("slot") == slot]
    parts.append(_panel("who said what", Group(*(line for line in lines if line is not None))))
    if slot in outcomes:
        names = {proposal.candidate: f"{name} {proposal.candidate}" for name, proposal in proposals.items()}
        picture = Picture.of(events)
        parts.append(_panel("result", _result(outcomes[slot], names, picture)))
        confirmed = [row["name"] for row in picture.rows if row.get("candidate") == outcomes[slot].candidate]
        if verdicts := [comparison for comparison in own_verdicts(picture) if comparison["candidate"] in confirmed]:
            parts.append(_panel("confirmation", verdict_table(verdicts, "")))
    if spending.agents:
        parts.append(cost_table(spending.agents))
    return Group(*parts)


def ending(outcome: Outcome, longest: int = 400) -> str:
    """The result of a candidate in one line."""
    if outcome.status == "measured":
        perplexity, gain = outcome.data["perplexity"], outcome.data["gain"]
        own = outcome.data.get("league")
        league = f", {SHOWN[own]}" if own in (WITH_UPDATE, COMPENSATED) else ""
        return f"measured: perplexity {perplexity:.2f}, gain {gain:+.3f} over its parent{league}"
    message = " ".join(visible(outcome.message, longest).split())
    return f"{outcome.status} at {outcome.stage} ({outcome.reason}): {message}"


def verdict(graph: "nx.MultiDiGraph[str]", hypothesis: str) -> tuple[str, str]:
    """The verdict on a hypothesis with its evidence, and its colour; empty before the analysis."""
    if hypothesis not in graph:
        return "", ""
    data = graph.nodes[hypothesis]
    return f"  ({grounded(data)})", COLOURS.get(data.get("state", ""), "yellow")


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


def ancestors(proposals: dict[str, Proposal], outcomes: dict[str, Outcome], slot: str) -> list[str]:
    """The ancestors of a candidate, oldest first: of several parents the one with the best measurement; before them the
    published scores on which the oldest is based."""
    slots: list[str] = []
    while candidates := [parent for parent in proposals[slot].parents if parent in outcomes]:
        slot = min(candidates, key=lambda parent: outcomes[parent].data.get("perplexity", float("inf")))
        slots.append(slot)
    slots += [parent for parent in proposals[slot].parents if parent.startswith(SEED)][::-1]
    return slots[::-1]


def descent(proposals: dict[str, Proposal], outcomes: dict[str, Outcome], slot: str) -> list[Text]:
    """One line on each ancestor and its result."""
    lines: list[Text] = []
    for name in ancestors(proposals, outcomes, slot):
        if name not in outcomes:
            lines.append(plain(f"{name}: a published score", "cyan"))
            continue
        ancestor, end = proposals[name], outcomes[name]
        line = plain(f"{name} {ancestor.operator} from {', '.join(ancestor.parents) or 'nothing'}: ", "cyan")
        line.append(f"{one_line(ancestor.thought.get('idea', ''), SAID)} ", "default")
        lines.append(line.append(ending(end, 200), style_of(end)))
    return lines


def _thought(thought: dict[str, Any], settled: tuple[str, str]) -> RenderableType:
    formula = formula_of(thought)
    lines = [plain(f"formula: {formula}")] if formula else []
    lines += [
        plain(f"{key.replace('_', ' ')}: {_fact(value)}")
        for key, value in thought.items()
        if key not in ("expression", "importance", "formula", REASONING) and value
    ]
    for line in lines:
        if line.plain.startswith("expected: "):
            line.append(*settled)
    return Group(*lines)


def _long(text: object, whole: bool) -> Text:
    """The first sentences of a long text, or all of it."""
    return plain(text, longest=MOST_THOUGHT) if whole else plain(gist(text, WHOLE))


def _codes(run: RunDirectory, revisions: Sequence[Proposal], parent: Proposal | None, whole: bool) -> list[Panel]:
    """The code of every revision, and the difference of the last one from the first parent, before a long source."""
    panels = [_code(run, proposal, whole) for proposal in revisions if proposal.candidate is not None]
    last = revisions[-1]
    if last.candidate is None or parent is None or parent.candidate is None:
        return panels
    source = run.source(last.candidate)
    try:
        before = run.source(parent.candidate)
    except AutoPruneError as problem:
        return [*panels, _panel(f"difference from {parent.slot}", plain(problem, "yellow"))]
    shown = compared(before, source, parent.slot, last.slot, "" if whole else WHOLE)
    panels.insert(len(panels) - is_long(source), shown)
    return panels


def _code(run: RunDirectory, proposal: Proposal, whole: bool) -> Panel:
    assert proposal.candidate is not None
    revision = f", revision {proposal.revision}" if proposal.revision else ""
    source = run.source(proposal.candidate)
    shown = code(source, line_numbers=True) if whole else folded(source, WHOLE)
    return _panel(f"candidate {proposal.candidate}{revision}", shown)


def _result(outcome: Outcome, names: dict[str | None, str], picture: Picture) -> RenderableType:
    """The result with the best baseline, and facts. `names`: slots by content hash."""
    lines = [plain(ending(outcome), style_of(outcome))]
    if picture.best_baseline and picture.dense:
        name, perplexity = picture.best_baseline
        lines.append(plain(f"best baseline {name}: {perplexity:.2f}, dense model: {picture.dense:.2f}", "dim"))
    facts = {key: outcome.data[key] for key in _FACTS if outcome.data.get(key)}
    if "nearest" in facts:
        facts["nearest"] = names.get(facts["nearest"], facts["nearest"])
    return Group(*lines, *(plain(f"{key.replace('_', ' ')}: {_fact(value)}") for key, value in facts.items()))


def _fact(value: Any) -> str:
    """A fact as text: numbers with four digits, lists and mappings without brackets."""
    if isinstance(value, float | int):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_fact(part)}" for key, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
