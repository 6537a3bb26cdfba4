"""The tables of a report, which need no script: key figures, confirmation, costs, settings and fingerprints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.table import Table as RichTable

from autoprune.config import flat
from autoprune.report import confirmation as report_tables
from autoprune.report.confirmation import VERDICTS
from autoprune.report.cost import COLUMNS, MODEL_COLUMNS, cost_cells, model_cells
from autoprune.report.html.material import Material
from autoprune.report.html.safe import cut, shareable, without_folders
from autoprune.report.picture import Picture
from autoprune.report.text import duration

SAID = 2000
SEARCHED, REPORTED = "perplexity, search split", "perplexity, report split"
_MARKS = {style: kind for kind, style in report_tables.STYLES.items()}
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
    figures = _confirmed(picture) if picture.rows else _searched(picture)
    measured = sum(outcome.status == "measured" for outcome in material.outcomes)
    figures.append(("candidates", f"{picture.done}", f"{measured} measured"))
    if (seconds := picture.spent.get("seconds")) is not None:
        figures.append(("time", duration(seconds), "hours:minutes:seconds" if seconds >= 3600 else "minutes:seconds"))
    if tokens := picture.spent.get("tokens"):
        usd = picture.spent.get("usd")
        figures.append(("tokens", f"{tokens:,}", "price unknown" if usd is None else f"{usd:.4f} USD"))
    return figures


def _searched(picture: Picture) -> list[tuple[str, str, str]]:
    figures = []
    if picture.best is not None:
        figures.append(("best candidate", _perplexity(picture.best.perplexity), f"{picture.best.slot}: {SEARCHED}"))
    if picture.best_baseline is not None:
        name, perplexity = picture.best_baseline
        figures.append(("best baseline", _perplexity(perplexity), f"{name}: {SEARCHED}"))
    if picture.dense is not None:
        figures.append(("dense model", _perplexity(picture.dense), SEARCHED))
    return figures


def _confirmed(picture: Picture) -> list[tuple[str, str, str]]:
    """The finalist that the conclusion names, the best baseline of its league, and the dense model, all of them on the
    report split."""
    figures = []
    best = picture.finalist
    if best is not None:
        figures.append(("best candidate", _perplexity(best["report"]), f"{best['name']}: {REPORTED}"))
        rivals = report_tables.best_first(report_tables.peers(best, picture.rows))
        if rivals:
            figures.append(("best baseline", _perplexity(rivals[0]["report"]), f"{rivals[0]['name']}: {REPORTED}"))
            figures.append(("ratio", f"{best['report'] / rivals[0]['report']:.3f}", "perplexity, candidate / baseline"))
    dense = next((row["report"] for row in picture.rows if row["kind"] == "dense"), None)
    if dense is not None:
        figures.append(("dense model", _perplexity(dense), REPORTED))
    return figures


def confirmation(material: Material) -> list[Table]:
    """Perplexities on the report split and comparisons, the run's own condition first."""
    picture = material.picture
    return [_drawn(part) for part in report_tables.confirmation(picture)] if picture.rows else []


def costs(material: Material) -> list[Table]:
    """The cost of each agent's calls to chat models, and of each model that proposes; empty without calls."""
    agents, models = material.picture.agents, material.picture.models
    tables = [Table("", COLUMNS, cost_cells(agents))] if agents else []
    return tables + ([Table("Models that propose", MODEL_COLUMNS, model_cells(models))] if models else [])


def settings(material: Material) -> list[Table]:
    """The settings as resolved, and the record: versions, fingerprints, device."""
    config = _texts(material.config.model_dump(mode="json"))
    return [
        Table("Settings", ("setting", "value"), [row for row in config if row[1] != "None"]),
        Table("Versions and fingerprints", ("item", "value"), list(_texts(material.record))),
    ]


def lessons(material: Material) -> list[tuple[int, str, str]]:
    return [
        (event.data["generation"], str(event.data["by"]), cut(event.data["text"], LESSON))
        for event in material.events
        if event.kind == "lesson"
    ]


def notices(material: Material) -> list[str]:
    return [without_folders(cut(event.data["text"], LESSON)) for event in material.events if event.kind == "notice"]


def _drawn(part: RenderableType) -> Table:
    """A table of the terminal for the page; a text becomes a note."""
    if not isinstance(part, RichTable):
        return Table("", (), note=without_folders(cut(part, SAID)))
    columns = [str(column.header) for column in part.columns]
    rows = [[cut(cell, SAID) for cell in row] for row in zip(*(column.cells for column in part.columns), strict=True)]
    marks = [
        row[-1] if row[-1] in VERDICTS else _MARKS.get(str(of_row.style), "")
        for row, of_row in zip(rows, part.rows, strict=True)
    ]
    return Table(cut(part.title, SAID) if part.title else "", columns, rows, marks)


def _perplexity(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _texts(facts: Mapping[str, Any]) -> Iterator[list[str]]:
    """The leaves of a tree of settings, as dotted key and text."""
    for key, value in flat(facts).items():
        yield [key, (", ".join(map(shareable, value)) or "none") if isinstance(value, list) else shareable(value)]
