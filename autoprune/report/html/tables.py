"""The tables of a report, which need no script: key figures, confirmation, costs, settings and fingerprints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoprune.report.confirmation import best_first, heading, own_verdicts, preceded, row_name
from autoprune.report.cost import COLUMNS, cost_cells
from autoprune.report.html.material import Material
from autoprune.report.html.safe import cut, number, shareable, without_folders
from autoprune.report.text import duration
from autoprune.runs.verdicts import Comparison, interval, percent, place

SAID = 2000
LESSON = 600
"""Maximum characters of a lesson; the reasoning graph has the complete texts."""


@dataclass(frozen=True)
class Table:
    """A table of texts. `marks`: a CSS class for each row, or empty."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    note: str = ""


def key_figures(material: Material) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important figures."""
    picture = material.picture
    figures = []
    if picture.best is not None:
        figures.append(("best candidate", _perplexity(picture.best.perplexity), f"{picture.best.slot}, search split"))
    if picture.best_baseline is not None:
        name, perplexity = picture.best_baseline
        figures.append(("best baseline", _perplexity(perplexity), f"{name}, search split"))
    if picture.dense is not None:
        figures.append(("dense model", _perplexity(picture.dense), "search split"))
    measured = sum(outcome.status == "measured" for outcome in material.outcomes)
    figures.append(("candidates", f"{picture.done}", f"{measured} measured"))
    if "seconds" in picture.spent:
        figures.append(("time", duration(picture.spent["seconds"]), ""))
    if tokens := picture.spent.get("tokens"):
        usd = picture.spent.get("usd")
        figures.append(("tokens", f"{tokens:,}", "price unknown" if usd is None else f"{usd:.4f} USD"))
    return figures


def confirmation(material: Material) -> list[Table]:
    """Perplexities on the report split and comparisons, the run's own condition first."""
    picture = material.picture
    if not picture.rows:
        return []
    tables = [_measured("Perplexity, lower is better", picture.rows)]
    if own := own_verdicts(picture):
        tables.append(_compared("Candidates against baselines, report split", own))
    for condition in picture.elsewhere:
        title = heading(condition)
        problem = without_folders(cut(f"not measured: {condition['problem']}", SAID)) if "problem" in condition else ""
        tables.append(_measured(title, condition["rows"], problem))
        here = [comparison for comparison in picture.comparisons if place(comparison) == place(condition)]
        if here:
            tables.append(_compared(f"Candidates against baselines, {title}", here))
    return tables


def costs(material: Material) -> Table | None:
    """The cost of each agent's calls to chat models; None without calls."""
    agents = material.picture.agents
    if not agents:
        return None
    return Table("", COLUMNS, [list(map(str, row)) for row in cost_cells(agents)])


def settings(material: Material) -> list[Table]:
    """The settings as resolved, and the record: versions, fingerprints, device."""
    config = _flat(material.config.model_dump(mode="json"))
    record = _flat(material.record)
    return [
        Table("Settings", ("setting", "value"), [list(row) for row in config if row[1] not in ("None", "{}")]),
        Table("Versions and fingerprints", ("what", "value"), [list(row) for row in record]),
    ]


def lessons(material: Material) -> list[tuple[int, str, str]]:
    """Generation, author and text of each lesson."""
    return [
        (event.data["generation"], str(event.data["by"]), cut(event.data["text"], LESSON))
        for event in material.events
        if event.kind == "lesson"
    ]


def notices(material: Material) -> list[str]:
    """The notices of the run, in order."""
    return [without_folders(cut(event.data["text"], LESSON)) for event in material.events if event.kind == "notice"]


def _measured(title: str, rows: Sequence[dict[str, Any]], note: str = "") -> Table:
    table = Table(
        f"{title}{cut(preceded(rows), SAID)}",
        ("algorithm", "search split", "report split", "over seeds", "sparsity"),
        note=note,
    )
    for row in best_first(rows):
        values = [value for value in row.get("by_seed", []) if number(value) is not None]
        table.rows.append(
            [
                cut(row_name(row), 200),
                _perplexity(row["search"]),
                _perplexity(row["report"]) if row["report"] is not None else cut(row.get("problem", ""), SAID),
                f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else "",
                f"{row['sparsity']:.4f}" if row.get("sparsity") is not None else "",
            ]
        )
        table.marks.append(row["kind"])
    return table


def _compared(title: str, compared: Sequence[Comparison]) -> Table:
    note = "Change of perplexity against the baseline, below 0 when the candidate's is lower; paired by windows."
    columns = ("candidate", "baseline", "change %", "95 % interval", "p (Holm)", "verdict")
    table = Table(title, columns, note=note)
    for comparison in compared:
        table.rows.append(
            [
                cut(comparison["candidate"], 200),
                cut(comparison["baseline"], 200),
                percent(comparison["difference"]),
                interval(comparison),
                f"{comparison['p_holm']:.4f}",
                cut(comparison["verdict"], 200),
            ]
        )
        table.marks.append(comparison["verdict"] if comparison["verdict"] in ("better", "worse") else "")
    return table


def _perplexity(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _flat(tree: object, above: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a tree of settings, as dotted key and text."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{above}.{key}" if above else str(key))
    elif isinstance(tree, list):
        yield above, ", ".join(map(shareable, tree)) or "none"
    else:
        yield above, shareable(tree)
