"""The tables of a confirmation: what everybody measured on the report split, and each candidate against each baseline.

A run of an older version has neither seeds nor comparisons: its table is shown as it was.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from autoprune.report.picture import Picture
from autoprune.report.text import plain, windows_of_text
from autoprune.runs.verdicts import Comparison, interval, percent, place

_STYLES = {"candidate": "green", "dense": "dim"}
_VERDICTS = {"better": "green", "worse": "red"}


def confirmation(picture: Picture) -> list[RenderableType]:
    """The run's own condition first; then the other sparsities and the second model, each under its own heading."""
    parts: list[RenderableType] = [measured_table(picture.rows, "Perplexity (lower is better)")]
    if picture.comparisons:
        parts.append(verdict_table(own_verdicts(picture), "Candidates against baselines, report split"))
    for condition in picture.elsewhere:
        title = heading(condition)
        if "problem" in condition:
            parts.append(plain(f"{title}: not measured: {condition['problem']}", "yellow"))
            continue
        parts.append(measured_table(condition["rows"], title))
        parts.append(verdict_table(_under(picture.comparisons, condition), f"Candidates against baselines, {title}"))
    if picture.comparisons:
        parts.append(plain(_method(picture.protocol), "dim"))
    return parts


def own_verdicts(picture: Picture) -> list[Comparison]:
    """The comparisons on the run's own model, at its own sparsity."""
    return _under(picture.comparisons, picture.started)


def heading(condition: dict[str, Any]) -> str:
    """Where a condition other than the run's own is: model, sparsity or pattern, and windows if it has its own."""
    pattern = condition.get("pattern", "none")
    kind = f"at sparsity {condition['sparsity']:g}" if pattern == "none" else f"under the pattern {pattern}"
    windows = f", {condition['windows']} windows" if "windows" in condition else ""
    # Of a model in a directory only its name: the rest is its owner's, and too wide.
    return f"{Path(condition['model']).name} {kind}{windows}"


def preceded(rows: Sequence[dict[str, Any]]) -> str:
    """The token before every window that the rows were measured on, for their title; empty where there is none."""
    bos = next((row["bos"] for row in rows if row.get("bos")), None)
    return f", windows preceded by {bos}" if bos else ""


def measured_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """One line per algorithm. `seeds`: how many calibration samples it was measured with; `over seeds`: least and
    largest perplexity among them."""
    by_seeds = any("seeds" in row for row in rows)
    searched = any(row["search"] is not None for row in rows)
    table = Table(title=plain(f"{title}{preceded(rows)}"), title_justify="left")
    table.add_column("algorithm")
    names = ["search split"] * searched + ["report split"] + ["over seeds", "seeds"] * by_seeds + ["sparsity"]
    for name in names:
        table.add_column(name, justify="right")
    for row in sorted(rows, key=lambda row: row["report"] if row["report"] is not None else float("inf")):
        cells = _cells(row)
        table.add_row(plain(_name(row)), *(plain(cells[name]) for name in names), style=_STYLES.get(row["kind"], ""))
    return table


def verdict_table(compared: Sequence[Comparison], title: str) -> Table:
    """One line per candidate and baseline: change of perplexity in per cent with its interval, and what it shows."""
    table = Table(title=plain(title) if title else None, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name, right in (
        ("candidate", False),
        ("baseline", False),
        ("seeds", True),
        ("change %", True),
        ("95 % interval", True),
        ("p (Holm)", True),
        ("verdict", False),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    for comparison in compared:
        table.add_row(
            plain(comparison["candidate"]),
            plain(comparison["baseline"]),
            str(len(comparison["seeds"])),
            percent(comparison["difference"]),
            interval(comparison),
            f"{comparison['p_holm']:.4f}",
            plain(comparison["verdict"], _VERDICTS.get(comparison["verdict"], "")),
        )
    return table


def _cells(row: dict[str, Any]) -> dict[str, str]:
    values = row.get("by_seed", [])
    return {
        "search split": f"{row['search']:.2f}" if row["search"] is not None else "",
        "report split": f"{row['report']:.2f}" if row["report"] is not None else row["problem"],
        "over seeds": f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "",
        "seeds": str(len(row["seeds"])) if "seeds" in row else "",
        "sparsity": f"{row['sparsity']:.4f}" if row.get("sparsity") is not None else "",
    }


def _under(compared: Sequence[Comparison], condition: dict[str, Any]) -> list[Comparison]:
    return [comparison for comparison in compared if place(comparison) == place(condition)]


def _name(row: dict[str, Any]) -> str:
    """With the parameters that the baseline's allocation was tuned to here."""
    return f"{row['name']} ({row['parameters']})" if row.get("parameters") else str(row["name"])


def _method(protocol: dict[str, Any]) -> str:
    """How to read the verdicts, in one sentence."""
    text = windows_of_text(protocol["windows"], protocol["seqlen"], protocol.get("bos"))
    return (
        f"seeds: calibration samples that both were measured with; {protocol['test']} ({text}); better or worse: p at "
        f"most {protocol['alpha']:g} after Holm's correction for {protocol['comparisons']} comparisons; intervals are "
        "not corrected"
    )
