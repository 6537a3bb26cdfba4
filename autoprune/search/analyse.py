"""The node `analyse`: adds a generation's results to the reasoning graph, and derives a lesson from them."""

import math
from collections.abc import Mapping
from typing import Any

from langgraph.runtime import Runtime

from autoprune.agents.analyst import Lesson, Result, StatisticalAnalyst
from autoprune.config_values import WITHOUT_MODEL
from autoprune.errors import BudgetSpent
from autoprune.gcot.belief import Claim, Contrast, pooled
from autoprune.runs.archive import Edge, Node, Outcome, Proposal
from autoprune.runs.names import lesson_id, node_id
from autoprune.search.context import SearchContext
from autoprune.search.state import SearchState

CLAIMED = ("expected", "predicted", "refuted_if")
"""What a thought says of its hypothesis beside the mechanism."""


def analyse(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """Add the thought, code and measurement of each slot to the graph; then let the analyst contrast the siblings."""
    context, generation = runtime.context, state["generation"]
    outcomes = context.archive.outcomes(generation)
    last = {proposal.slot: proposal for proposal in context.archive.proposals(generation)}
    nodes = context.gcot(generation).nodes
    for outcome in outcomes:
        if outcome.slot in last:
            context.archive.add_thoughts(*thoughts(last[outcome.slot], outcome, nodes))
    context.archive.add_thoughts(*_rejections(context, last))
    results = [_result(context, last[outcome.slot], outcome) for outcome in outcomes if outcome.slot in last]
    # What was improved by trials, without an idea of a model, teaches a model nothing and is not worth its time.
    only_trials = all(proposal.operator in WITHOUT_MODEL for proposal in last.values())
    analyst = StatisticalAnalyst() if only_trials else context.analyst
    try:
        lesson = analyst.reflect(generation, results)
    except BudgetSpent:
        lesson = None
    if lesson is not None:
        _keep_lesson(context, generation, lesson)
    return {}


def thoughts(proposal: Proposal, outcome: Outcome, existing: Mapping[str, Node]) -> tuple[list[Node], list[Edge]]:
    """The nodes and edges of one slot: hypothesis, design, and, if there is code, algorithm and evidence."""
    slot, generation = proposal.slot, proposal.generation
    idea, design, evidence = node_id(slot, "idea"), node_id(slot, "design"), node_id(slot, "evidence")
    thought = proposal.thought
    claimed = {key: thought[key] for key in CLAIMED if thought.get(key)}
    nodes = [
        Node(idea, "hypothesis", generation, str(thought.get("why", "")), {"expected": None} | claimed),
        Node(design, "design", generation, str(thought.get("idea", "")), {"operator": proposal.operator}),
    ]
    edges = [Edge(idea, design, "motivates", generation)]
    edges += [Edge(origin, idea, "motivates", generation) for origin in _origins(proposal, existing)]
    refine = "combines" if len(proposal.parents) > 1 else "refines"
    edges += [Edge(parent, design, refine, generation) for parent in proposal.parents if parent in existing]
    if proposal.candidate is None:
        return nodes, edges
    nodes.append(Node(slot, "algorithm", generation, str(thought.get("idea", "")), {"candidate": proposal.candidate}))
    edges.append(Edge(design, slot, "implements", generation))
    gain, error = outcome.data.get("gain"), outcome.data.get("gain_error")
    facts = {"gain": gain, "error": error, "status": outcome.status}
    nodes.append(Node(evidence, "evidence", generation, _finding(outcome), facts))
    edges.append(Edge(slot, evidence, "tests", generation))
    claims = {idea: thought.get("expected"), **_tested_again(thought, existing)}
    for hypothesis, claim in claims.items():
        if gain is not None and claim:
            kind = pooled([Contrast(gain, error)]).verdict(claim) or "informs"
            edges.append(Edge(hypothesis, evidence, kind, generation))
    return nodes, edges


def _tested_again(thought: Mapping[str, Any], existing: Mapping[str, Node]) -> dict[str, Claim | None]:
    """The earlier hypotheses that a candidate tests again, with what they claim."""
    named = [existing[name] for name in thought.get("tests", []) if name in existing]
    return {node.id: node.data.get("expected") for node in named if node.kind == "hypothesis"}


def _origins(proposal: Proposal, existing: Mapping[str, Node]) -> list[str]:
    """The motivation of an idea: the nodes that it cites in `builds_on`, else its chain's observations and lessons."""
    kinds = {step["node"]: step["kind"] for step in proposal.chain}
    cited = {name for name in proposal.thought.get("builds_on", []) if name in existing}
    cited &= {name for name, kind in kinds.items() if kind in ("observation", "lesson", "evidence")}
    return sorted(cited or {name for name, kind in kinds.items() if kind in ("observation", "lesson")})


def _rejections(context: SearchContext, last: dict[str, Proposal]) -> tuple[list[Node], list[Edge]]:
    """Comments of people on candidates that they rejected: lessons without a measurement."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    for decision in context.archive.approvals.decisions():
        if decision.decision == "reject" and decision.comment and decision.slot in last:
            generation, name = last[decision.slot].generation, f"{decision.slot}.rejected.{decision.candidate[:8]}"
            data = {"ground": None, "by": decision.who}
            nodes.append(Node(name, "lesson", generation, f"{decision.who} rejected it: {decision.comment}", data))
            edges.append(Edge(node_id(decision.slot, "idea"), name, "motivates", generation))
    return nodes, edges


def _finding(outcome: Outcome) -> str:
    gain = outcome.data.get("gain")
    if gain is None:
        return f"{outcome.status} at {outcome.stage} ({outcome.reason}): {outcome.message}"
    change, error, layers = 100 * math.expm1(-gain), outcome.data.get("gain_error"), outcome.data.get("worst_layers")
    chance = f" ± {(100 + change) * error:.1f}" if error is not None else ""
    worst = f"; most damaged: {', '.join(layers)}" if layers else ""
    if outcome.status == "stopped":
        return f"{outcome.message}: about {change:+.0f} % against its best parent{worst}"
    return f"perplexity {outcome.data['perplexity']:.2f}, {change:+.1f}{chance} % against its best parent{worst}"


def _result(context: SearchContext, proposal: Proposal, outcome: Outcome) -> Result:
    return Result(
        slot=proposal.slot,
        idea=str(proposal.thought.get("idea", "")),
        source=context.run.source(proposal.candidate) if proposal.candidate else "",
        expected=proposal.thought.get("expected"),
        status=outcome.status,
        perplexity=outcome.data.get("perplexity"),
        gain=outcome.data.get("gain"),
        problem=outcome.message,
        against="its parent" if proposal.parents else "the best baseline",
        error=outcome.data.get("gain_error"),
        predicted=str(proposal.thought.get("predicted", "")),
    )


def _keep_lesson(context: SearchContext, generation: int, lesson: Lesson) -> None:
    """Each claim is a node of its own, which rests on its own measurement or is a conjecture."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    for number, claim in enumerate(lesson.claims, 1):
        name = lesson_id(generation, number)
        ground = node_id(claim.grounds[0], "evidence") if claim.grounds else None
        nodes.append(Node(name, "lesson", generation, claim.text, {"ground": ground, "by": lesson.by}))
        edges += [
            Edge(node_id(slot, "evidence"), name, "motivates", generation) for slot in claim.grounds or (lesson.best,)
        ]
    context.archive.add_thoughts(nodes, edges)
    context.events.emit("lesson", f"lesson/{generation}", generation=generation, text=lesson.text, by=lesson.by)
