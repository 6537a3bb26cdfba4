"""The course of the search: its measurements in order, the best so far, and the lineage of all candidates."""

from typing import Any

from autoprune.report.candidate import descent, ending
from autoprune.report.html.material import Material
from autoprune.report.html.safe import number
from autoprune.report.text import one_line
from autoprune.runs.archive import SEED


def curve(material: Material) -> dict[str, Any]:
    """`points`: perplexity, or estimate if stopped early, of each ended slot; `best`: the lowest perplexity after each;
    `baselines`: best first; `dense`."""
    points: list[dict[str, Any]] = []
    best: list[float | None] = []
    lowest: float | None = None
    for event in material.events:
        if event.kind != "ended":
            continue
        data = event.data
        perplexity = number(data.get("perplexity"))
        if perplexity is not None and (lowest is None or perplexity < lowest):
            lowest = perplexity
        best.append(lowest)
        estimate = number(data.get("estimated_perplexity"))
        points.append({"slot": data["slot"], "status": data["status"], "perplexity": perplexity, "estimate": estimate})
    baselines = sorted(material.picture.baselines.items(), key=lambda item: item[1])
    return {
        "points": points,
        "best": best,
        "baselines": [{"name": name, "perplexity": number(perplexity)} for name, perplexity in baselines],
        "dense": number(material.picture.dense),
    }


def lineage(material: Material) -> dict[str, Any]:
    """`points`: candidates with a perplexity or an estimate, and published scores that are parents, at their best
    unrefined baseline; `line`: the best candidate and its ancestors, oldest first."""
    points: dict[str, dict[str, Any]] = {}
    last = {proposal.slot: proposal for proposal in material.proposals}
    for parent in dict.fromkeys(parent for proposal in last.values() for parent in proposal.parents):
        if parent.startswith(SEED) and (perplexity := _of_score(material, parent.removeprefix(SEED))) is not None:
            points[parent] = _point(parent, 0, perplexity, [], "baseline")
    for outcome in material.outcomes:
        perplexity = number(outcome.data.get("perplexity", outcome.data.get("estimated_perplexity")))
        if perplexity is not None and outcome.slot in last:
            parents = last[outcome.slot].parents
            points[outcome.slot] = _point(outcome.slot, outcome.generation, perplexity, parents, outcome.status)
    line, slot = [], material.picture.best.slot if material.picture.best else None
    while slot is not None and slot in points:
        line.append(slot)
        parents = [parent for parent in points[slot]["parents"] if parent in points]
        slot = min(parents, key=lambda parent: points[parent]["perplexity"], default=None)
    return {"points": list(points.values()), "line": line[::-1]}


def line_of_best(material: Material) -> list[str]:
    """The best candidate's ancestors and itself, one line each, oldest first."""
    best = material.picture.best
    proposals = {proposal.slot: proposal for proposal in material.proposals}
    outcomes = {outcome.slot: outcome for outcome in material.outcomes}
    if best is None or best.slot not in proposals or best.slot not in outcomes:
        return []
    proposal, outcome = proposals[best.slot], outcomes[best.slot]
    origin = f"{best.slot} {proposal.operator} from {', '.join(proposal.parents) or 'nothing'}"
    own = f"{origin}: {one_line(proposal.thought.get('idea', ''), 400)} {ending(outcome)}"
    return [*(line.plain for line in descent(proposals, outcomes, best.slot)), own]


def _point(slot: str, generation: int, perplexity: float, parents: list[str], status: str) -> dict[str, Any]:
    return {"slot": slot, "generation": generation, "perplexity": perplexity, "parents": parents, "status": status}


def _of_score(material: Material, score: str) -> float | None:
    """The lowest perplexity of the baselines with this score without swaps."""
    named = [(name.split("+"), value) for name, value in material.picture.baselines.items()]
    perplexities = [value for (first, *rest), value in named if first == score and "swaps" not in rest]
    return number(min(perplexities, default=None))
