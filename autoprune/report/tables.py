"""The tables at the end of a command, and the list of runs."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from autoprune.report.confirmation import confirmation
from autoprune.report.cost import cost_table
from autoprune.report.picture import Explanation, Picture
from autoprune.report.text import plain


def final_table(picture: Picture) -> RenderableType:
    """Confirmation, cost of the agents, explanation of the best candidate, and the conclusion as the last line."""
    costs = [cost_table(picture.agents)] if picture.agents else []
    explanation = [_described(picture.explanation)] if picture.explanation else []
    return Group(*confirmation(picture), *costs, *explanation, plain(picture.conclusion, "bold"))


def _described(explanation: Explanation) -> RenderableType:
    lines = [plain(explanation.formula)] if explanation.formula else []
    lines += [plain(f"  {symbol}: {meaning}", "dim") for symbol, meaning in explanation.symbols]
    if explanation.sentence:
        lines.append(plain(f"{explanation.sentence} ({explanation.by})"))
    return Group(plain(f"What was found: {explanation.slot}", "bold"), Padding(Group(*lines), (0, 0, 0, 2)))


def runs_table(runs: Iterable[tuple[str, Picture, int]]) -> Table:
    """One line per run, with the number of filled cells of its map."""
    table = Table(box=None, padding=(0, 1))
    numeric = ("sparsity", "candidates", "cells", "best", "best baseline")
    for name in ("run", "model", "sparsity", "engine", "candidates", "cells", "best", "best baseline", "state"):
        table.add_column(name, justify="right" if name in numeric else "left")
    for run in runs:
        row = run_row(*run)
        cells = [row["run"], row["model"], row["sparsity"], row["engine"], row["candidates"], row["cells"]]
        numbers = [f"{row[key]:.2f}" if row[key] is not None else "-" for key in ("best", "best_baseline")]
        table.add_row(*(plain(cell) for cell in (*cells, *numbers, row["state"])))
    return table


def run_row(name: str, picture: Picture, cells: int) -> dict[str, Any]:
    """A run as plain data, for `--json` and the table."""
    best, baseline = picture.best, picture.best_baseline
    fork = f" (fork of {picture.origin})" if picture.origin else ""
    return {
        "run": name,
        "started": picture.time,
        "model": picture.started.get("model", "?"),
        "sparsity": picture.started.get("sparsity", "?"),
        "engine": picture.started.get("llm", "?"),
        "candidates": picture.done,
        "cells": cells,
        "best": best.perplexity if best else None,
        "best_candidate": best.candidate if best else None,
        "best_baseline": baseline[1] if baseline else None,
        "origin": picture.origin,
        "state": (f"ended: {picture.stop}" if picture.stop else "unfinished") + fork,
    }
