"""The tables of a confirmation: perplexities on the report split, and each candidate against each baseline.

Runs of older versions have neither seeds nor comparisons.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from autoprune.leagues import MASK_ONLY, SHOWN
from autoprune.report.picture import Picture
from autoprune.report.text import plain, windows_of_text
from autoprune.runs.verdicts import Comparison, interval, percent, place

STYLES = {"winner": "green", "dense": "dim"}
VERDICTS = {"better": "green", "worse": "red"}


def confirmation(picture: Picture) -> list[RenderableType]:
    """Tables of the run's own condition, then of the other sparsities and the second model."""
    own = measured_table(picture.rows, "Perplexity (lower is better)", own_verdicts(picture))
    parts: list[RenderableType] = [own]
    if picture.comparisons:
        parts.append(verdict_table(own_verdicts(picture), "Candidates against baselines, report split"))
    for condition in picture.elsewhere:
        title = heading(condition)
        if "problem" in condition:
            parts.append(plain(f"{title}: not measured: {condition['problem']}", "yellow"))
            continue
        compared = _under(picture.comparisons, condition)
        parts.append(measured_table(condition["rows"], f"Perplexity of {title}", compared))
        parts.append(verdict_table(compared, f"Candidates against baselines, {title}"))
    if picture.comparisons:
        parts.append(plain(_method(picture.protocol), "dim"))
    return parts


def own_verdicts(picture: Picture) -> list[Comparison]:
    """The comparisons on the run's own model at its own sparsity."""
    return _under(picture.comparisons, picture.started)


def heading(condition: dict[str, Any]) -> str:
    """A condition as text: model, sparsity or pattern, and windows if it has its own."""
    pattern = condition.get("pattern", "none")
    kind = f"at sparsity {condition['sparsity']:g}" if pattern == "none" else f"with pattern {pattern}"
    windows = f", {condition['windows']} windows" if "windows" in condition else ""
    # Of a directory only the name, to hide private paths.
    return f"{Path(condition['model']).name} {kind}{windows}"


def preceded(rows: Sequence[dict[str, Any]]) -> str:
    """The token before every window, for the title of a table; empty without one."""
    bos = next((row["bos"] for row in rows if row.get("bos")), None)
    return f", windows preceded by {bos}" if bos else ""


def measured_table(rows: Sequence[dict[str, Any]], title: str, compared: Sequence[Comparison] = ()) -> Table:
    """One line per algorithm. `seeds`: number of calibration samples; `over seeds`: range of perplexities over them.
    Green is a candidate that is better than every baseline of its league, by the comparisons `compared`."""
    by_seeds = any("seeds" in row for row in rows)
    searched = any(row["search"] is not None for row in rows)
    leagues = any("league" in row for row in rows)
    table = Table(title=plain(f"{title}{preceded(rows)}"), title_justify="left")
    table.add_column("algorithm")
    names = ["search split"] * searched + ["report split"] + ["over seeds", "seeds"] * by_seeds + ["sparsity"]
    names += ["league"] * leagues
    for name in names:
        table.add_column(name, justify="right")
    for row in best_first(rows):
        cells = _cells(row)
        table.add_row(
            plain(row_name(row)),
            *(plain(cells[name]) for name in names),
            style=STYLES.get(_kind(row, rows, compared), ""),
        )
    return table


def peers(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The measured baselines of a candidate's league; all of them if there is none."""
    baselines = [other for other in rows if other["kind"] == "baseline" and other["report"] is not None]
    own = [other for other in baselines if other.get("league", MASK_ONLY) == row.get("league", MASK_ONLY)]
    return own or baselines


def _kind(row: dict[str, Any], rows: Sequence[dict[str, Any]], compared: Sequence[Comparison]) -> str:
    """The row's kind, or "winner" for a candidate that was shown to be better than each of its peers."""
    names = {peer["name"] for peer in peers(row, rows)}
    verdicts = {
        comparison["verdict"]
        for comparison in compared
        if comparison["candidate"] == row["name"] and comparison["baseline"] in names
    }
    return "winner" if row["kind"] == "candidate" and verdicts == {"better"} else str(row["kind"])


def verdict_table(compared: Sequence[Comparison], title: str) -> Table:
    """One line per candidate and baseline: change of perplexity in per cent, its interval, and the verdict."""
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
            plain(comparison["verdict"], VERDICTS.get(comparison["verdict"], "")),
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
        "league": "" if row["kind"] == "dense" else SHOWN[row.get("league", MASK_ONLY)],
    }


def _under(compared: Sequence[Comparison], condition: dict[str, Any]) -> list[Comparison]:
    return [comparison for comparison in compared if place(comparison) == place(condition)]


def best_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows by perplexity on the report split, without one at the end."""
    return sorted(rows, key=lambda row: row["report"] if row["report"] is not None else float("inf"))


def row_name(row: dict[str, Any]) -> str:
    """The name of a row, with the tuned parameters of a baseline's allocation."""
    return f"{row['name']} ({row['parameters']})" if row.get("parameters") else str(row["name"])


def _method(protocol: dict[str, Any]) -> str:
    """The method of the verdicts in one sentence."""
    text = windows_of_text(protocol["windows"], protocol["seqlen"], protocol.get("bos"))
    return (
        f"seeds: common calibration samples; {protocol['test']} ({text}); better or worse: p at "
        f"most {protocol['alpha']:g} after Holm's correction for {protocol['comparisons']} comparisons; intervals are "
        "not corrected"
        + "; with updates, the statistics of a block are collected behind the pruned blocks before it"
        * protocol.get("sequential_updates", False)
    )
