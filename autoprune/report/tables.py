"""The tables at the end of a command."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoprune.report.cost import cost_table
from autoprune.report.picture import Picture
from autoprune.report.text import plain


def final_table(picture: Picture) -> RenderableType:
    """The confirmed rows, best report perplexity first; what the agents cost; the conclusion as the last line."""
    table = Table(title="Perplexity (lower is better)", title_justify="left")
    for name, justify in (
        ("algorithm", "left"),
        ("search split", "right"),
        ("report split", "right"),
        ("sparsity", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in sorted(picture.rows, key=lambda row: row["report"] or float("inf")):
        style = {"candidate": "green", "dense": "dim"}.get(row["kind"], "")
        report = f"{row['report']:.2f}" if row["report"] is not None else row["problem"]
        table.add_row(plain(row["name"]), f"{row['search']:.2f}", plain(report), f"{row['sparsity']:.4f}", style=style)
    costs = [cost_table(picture.agents)] if picture.agents else []
    return Group(table, *costs, Text(picture.conclusion, style="bold"))


def runs_table(runs: Iterable[tuple[str, Picture]]) -> Table:
    """One line per run."""
    table = Table(box=None, padding=(0, 1))
    for name in ("run", "model", "sparsity", "engine", "candidates", "best", "best baseline", "state"):
        table.add_column(
            name, justify="right" if name in ("sparsity", "candidates", "best", "best baseline") else "left"
        )
    for name, picture in runs:
        row = run_row(name, picture)
        cells = [row["run"], row["model"], row["sparsity"], row["engine"], row["candidates"]]
        numbers = [f"{row[key]:.2f}" if row[key] is not None else "-" for key in ("best", "best_baseline")]
        table.add_row(*(plain(cell) for cell in (*cells, *numbers, row["state"])))
    return table


def run_row(name: str, picture: Picture) -> dict[str, Any]:
    """A run as plain data, for `--json` and the table alike."""
    best, baseline = picture.best, picture.best_baseline
    fork = f" (fork of {picture.origin})" if picture.origin else ""
    return {
        "run": name,
        "started": picture.time,
        "model": picture.started.get("model", "?"),
        "sparsity": picture.started.get("sparsity", "?"),
        "engine": picture.started.get("llm", "?"),
        "candidates": picture.done,
        "best": best.perplexity if best else None,
        "best_candidate": best.candidate if best else None,
        "best_baseline": baseline[1] if baseline else None,
        "origin": picture.origin,
        "state": (f"ended: {picture.stop}" if picture.stop else "unfinished") + fork,
    }
