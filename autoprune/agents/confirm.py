"""The node `confirm`: the best candidates and all baselines on the report split, which the search never saw."""

from typing import Any

from langgraph.runtime import Runtime

from autoprune.agents.crew import Crew
from autoprune.agents.state import SearchState
from autoprune.errors import CandidateFailure
from autoprune.runs.archive import Measured, Outcome
from autoprune.tools.workbench import BASELINE_ALLOCATIONS, BASELINE_SCORES


def confirm(state: SearchState, runtime: Runtime[Crew]) -> SearchState:
    """Measure once on the report split, and say whether a candidate chosen on the search split beat every baseline."""
    crew = runtime.context
    finalists = _finalists(crew)
    baselines = [(score, allocation) for score in BASELINE_SCORES for allocation in BASELINE_ALLOCATIONS]
    text = f"measuring the dense model, {len(baselines)} baselines and {len(finalists)} candidates on the report split"
    crew.events.emit("notice", "confirming", text=text)
    rows = [_row("dense", "dense", crew.workbench.dense("search"), crew.workbench.dense("report"))]
    for score, allocation in baselines:
        split = [crew.workbench.baseline(score, allocation, split) for split in ("search", "report")]
        rows.append(_row(f"{score}+{allocation}", "baseline", *split))
    for outcome in finalists:
        crew.events.emit("working", slot=outcome.slot, agent="confirmation")
        rows.append(_candidate_row(crew, outcome))
    crew.workbench.verify()
    crew.events.emit("confirmed", "confirmed", rows=rows)
    spent = crew.spent()
    crew.events.emit(
        "run-ended",
        "run-ended",
        stop=state["stop"],
        conclusion=conclude(rows),
        **vars(spent),
        agents=crew.costs(),
    )
    return {}


def conclude(rows: list[dict[str, Any]]) -> str:
    """One line: did the candidate that was best on the search split beat the best baseline on the report split?"""
    baselines = [row for row in rows if row["kind"] == "baseline"]
    candidates = [row for row in rows if row["kind"] == "candidate" and row["report"] is not None]
    best_baseline = min(baselines, key=lambda row: row["report"])
    against = f"the best baseline ({best_baseline['name']}, {best_baseline['report']:.2f})"
    if not candidates:
        return f"No candidate beat {against} on the report split: none could be measured."
    chosen = min(candidates, key=lambda row: row["search"])
    change = 100 * (chosen["report"] / best_baseline["report"] - 1)
    if change < 0:
        doubt = " It is better than the dense model, which is suspect." if _beats_dense(rows, chosen) else ""
        return f"{chosen['name']} beat {against} on the report split: {chosen['report']:.2f}, {change:+.1f} %.{doubt}"
    return f"No candidate beat {against} on the report split: the best, {chosen['name']}, has {chosen['report']:.2f}."


def _beats_dense(rows: list[dict[str, Any]], chosen: dict[str, Any]) -> bool:
    return any(chosen["report"] < row["report"] for row in rows if row["kind"] == "dense")


def _finalists(crew: Crew) -> list[Outcome]:
    """The best measured candidates by search perplexity; of several slots with the same code the first."""
    unique: dict[str, Outcome] = {}
    for outcome in crew.archive.outcomes():
        if outcome.status == "measured" and outcome.candidate:
            unique.setdefault(outcome.candidate, outcome)
    ranked = sorted(unique.values(), key=lambda outcome: (outcome.data["perplexity"], outcome.slot))
    return ranked[: crew.config.search.finalists]


def _candidate_row(crew: Crew, outcome: Outcome) -> dict[str, Any]:
    assert outcome.candidate is not None
    name = f"{outcome.slot} {outcome.candidate[:8]}"
    try:
        report = crew.workbench.candidate(outcome.candidate, "report")
    except CandidateFailure as failure:
        facts = {"search": outcome.data["perplexity"], "report": None, "sparsity": outcome.data["sparsity"]}
        return {"name": name, "kind": "candidate", "problem": str(failure), "candidate": outcome.candidate, **facts}
    return {
        **_row(name, "candidate", crew.workbench.candidate(outcome.candidate, "search"), report),
        "candidate": outcome.candidate,
    }


def _row(name: str, kind: str, search: Measured, report: Measured) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "search": search.perplexity,
        "report": report.perplexity,
        "sparsity": report.sparsity,
        "zeros": report.data["zeros"],
        "weights": report.data["weights"],
    }
