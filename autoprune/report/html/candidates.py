"""The data of all candidates: thought, chain of thought, code, comments, result, cost."""

from typing import Any

from autoprune.report.candidate import Spending, verdict
from autoprune.report.code import diff, revealed
from autoprune.report.confirmation import own_verdicts
from autoprune.report.cost import cost_line
from autoprune.report.formulas import formula_of
from autoprune.report.html.material import Material
from autoprune.report.html.safe import cut, number
from autoprune.report.live import describe
from autoprune.report.outline import lines_of, outline
from autoprune.report.text import REASONING, split
from autoprune.runs.archive import Outcome, Proposal
from autoprune.runs.names import node_id
from autoprune.runs.verdicts import interval, percent

_NUMBERS = ("perplexity", "estimated_perplexity", "partial_perplexity", "gain", "sparsity", "agreement")
_SAID = ("proposed", "reviewed", "asked", "decided", "ended")
MOST_PARTS = 300
"""Maximum parts of an outlined source; others are shown in their own order."""
MOST_KEY = 200
"""Maximum characters of the name of a part of a thought."""
GONE = "the source is missing, or has changed since it was recorded"


def candidates(material: Material, longest: int, differences: dict[str, Any]) -> dict[str, Any]:
    """`all`: the candidates in order; `code`: content hash -> source; `outline`: content hash -> parts in reading
    order. `longest`: maximum characters of a text; `differences`: from the function `differences`."""
    revisions: dict[str, list[Proposal]] = {}
    for proposal in material.proposals:
        revisions.setdefault(proposal.slot, []).append(proposal)
    outcomes = {outcome.slot: outcome for outcome in material.outcomes}
    remarks = _said(material, longest)
    verdicts = _verdicts(material)
    code = {name: _code(source, longest) for name, source in material.sources.items()}
    described = []
    for slot, proposals in revisions.items():
        outcome, difference = outcomes.get(slot), differences.get(slot)
        name = outcome.candidate if outcome and outcome.candidate else proposals[-1].candidate
        described.append(
            {
                **_proposed(material, proposals, longest),
                **(_ended(outcome, longest) if outcome else {"status": "unfinished"}),
                "candidate": name,
                "said": remarks.get(slot, []),
                "confirmed": verdicts.get(name or "", []),
                "against": difference and {**difference, "diff": _code(difference["diff"], longest)},
                **_spent(material.spending.get(slot, Spending()), longest),
            }
        )
    outlines = {name: _outline(source, longest) for name, source in material.sources.items()}
    return {"all": described, "code": code, "outline": {name: parts for name, parts in outlines.items() if parts}}


def differences(material: Material) -> dict[str, dict[str, Any]]:
    """Slot -> first parent and diff to its last source; `diff` is empty if it is not shorter than the source."""
    last = {proposal.slot: proposal for proposal in material.proposals}
    made: dict[str, dict[str, Any]] = {}
    for slot, proposal in last.items():
        parent = last.get(proposal.parents[0]) if proposal.parents else None
        source = material.sources.get(proposal.candidate or "")
        before = material.sources.get(parent.candidate or "") if parent else None
        if parent is not None and source is not None and before is not None:
            lines = diff(before, source, parent.slot, slot)
            shorter = len(lines) < len(lines_of(source))
            made[slot] = {"parent": parent.slot, "lines": len(lines), "diff": "\n".join(lines) if shorter else ""}
    return made


def _proposed(material: Material, revisions: list[Proposal], longest: int) -> dict[str, Any]:
    """The proposal of a candidate. The text of a step of the chain is omitted if it equals that of its node."""
    last = revisions[-1]
    nodes = material.graph.nodes
    word, _ = verdict(material.graph, node_id(last.slot, "idea"))
    return {
        "slot": last.slot,
        "generation": last.generation,
        "operator": last.operator,
        "engine": last.engine,
        "parents": last.parents,
        "verdict": word.strip(" ()"),
        "thought": thought_pairs(last.thought, longest),
        "reasoning": _gist(last.thought.get(REASONING) or "", longest),
        "chain": [
            {
                "node": step["node"],
                "kind": step["kind"],
                "ground": step["ground"],
                "text": None
                if step["node"] in nodes and nodes[step["node"]]["text"] == step["text"]
                else cut(step["text"], longest),
            }
            for step in last.chain
        ],
        "revisions": [revision.candidate for revision in revisions if revision.candidate],
    }


def thought_pairs(thought: dict[str, Any], longest: int) -> list[list[str]]:
    """Formula, then the other parts of the thought without the reasoning."""
    formula = formula_of(thought)
    pairs = [["formula", formula]] if formula else []
    for key, value in thought.items():
        if key not in ("expression", "importance", "formula", REASONING) and value not in (None, "", [], {}):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            pairs.append([cut(key, MOST_KEY), cut(text, longest)])
    return pairs


def _gist(text: object, longest: int) -> list[str]:
    """The first sentences of a long text, and the rest."""
    return list(split(cut(text, longest)))


def _ended(outcome: Outcome, longest: int) -> dict[str, Any]:
    data = outcome.data
    return {
        "status": outcome.status,
        "stage": outcome.stage,
        "reason": outcome.reason,
        "message": cut(outcome.message, longest),
        **{key: number(data.get(key)) for key in _NUMBERS},
        "seconds": {part: number(seconds, 3) for part, seconds in data.get("seconds", {}).items()},
        "memory": data.get("memory_bytes"),
        "nearest": data.get("nearest"),
        "worst": data.get("worst_layers", []),
        "flags": [cut(flag, 300) for flag in data.get("flags", [])],
        "cached": bool(data.get("cached")),
        "diagnostics": cut(data.get("diagnostics") or "", longest),
    }


def _said(material: Material, longest: int) -> dict[str, list[str]]:
    """Slot -> lines of the live view on the candidate."""
    lines: dict[str, list[str]] = {}
    for event in material.events:
        if event.kind in _SAID:
            line = describe(event, min(longest, 2000))
            if line is not None:
                lines.setdefault(event.data["slot"], []).append(f"{event.time[11:19]} {line.plain}")
    return lines


def _code(source: str | None, longest: int) -> str:
    return GONE if source is None else cut(revealed(source, len(source)), longest)


def _outline(source: str | None, longest: int) -> list[list[int]]:
    """First line, number of lines and shown lines of each part; empty if the source is not outlined."""
    if source is None or len(source) > longest:
        return []
    parts = outline(source)
    return [[part.first, part.count, part.head] for part in parts] if 1 < len(parts) <= MOST_PARTS else []


def _verdicts(material: Material) -> dict[str, list[str]]:
    """Content hash -> one line on each comparison with a baseline on the report split."""
    hashes = {row["name"]: row["candidate"] for row in material.picture.rows if row.get("candidate")}
    lines: dict[str, list[str]] = {}
    for comparison in own_verdicts(material.picture):
        within = f" ({interval(comparison)})" if interval(comparison) else ""
        line = f"{comparison['verdict']} than {comparison['baseline']}: {percent(comparison['difference'])} %{within}"
        if comparison["verdict"] not in ("better", "worse"):
            line = f"{comparison['baseline']}: {comparison['verdict']}, {percent(comparison['difference'])} %{within}"
        if comparison["candidate"] in hashes:
            lines.setdefault(hashes[comparison["candidate"]], []).append(line)
    return lines


def _spent(spending: Spending, longest: int) -> dict[str, Any]:
    return {
        "cost": cost_line(spending.agents) if spending.agents else "",
        "chain_title": spending.chain_title,
        "models": [cut(model, 200) for model in spending.models],
        "looked_up": [cut(call, 400) for call in spending.looked_up],
        "thinking": [_gist(text, longest) for text in spending.thinking],
    }
