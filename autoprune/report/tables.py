"""The tables at the end of a command, and the list of runs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from autoprune.report.confirmation import confirmation
from autoprune.report.cost import cost_table, model_table
from autoprune.report.picture import Explanation, Picture
from autoprune.report.text import plain
from autoprune.runs.directory import PREFIX

WIDE = 140
NARROW = 46
REST = 62
"""Columns of the screen for all but the name in a list of runs, and for what a wide screen has more."""
MODEL = 20
MORE = ("model", "sparsity", "engine", "candidates", "cells")
LEFT = ("run", "state", "model", "engine")
LEGEND = "best: search perplexity; ratio: best / best baseline"


def final_table(picture: Picture) -> RenderableType:
    """Confirmation, cost of agents and models, explanation of the best candidate, and the conclusion as last line."""
    costs = [cost_table(picture.agents)] if picture.agents else []
    costs += [model_table(picture.models)] if picture.models else []
    explanation = [_described(picture.explanation)] if picture.explanation else []
    return Group(*confirmation(picture), *costs, *explanation, plain(picture.conclusion, "bold"))


def _described(explanation: Explanation) -> RenderableType:
    lines = [plain(explanation.formula)] if explanation.formula else []
    lines += [plain(f"  {symbol}: {meaning}", "dim") for symbol, meaning in explanation.symbols]
    if explanation.sentence:
        lines.append(plain(f"{explanation.sentence} ({explanation.by})"))
    return Group(plain(f"What was found: {explanation.slot}", "bold"), Padding(Group(*lines), (0, 0, 0, 2)))


Listed = tuple[str, Picture, int] | tuple[str, Picture, int, bool]
"""The arguments of `run_row`."""


def runs_table(runs: Iterable[Listed], width: int = WIDE, now: datetime | None = None, whole: bool = False) -> Table:
    """One line per run, in at most `width` columns: its name, or the shortest unique prefix of at least PREFIX letters
    where a name is too long. A screen of WIDE columns also has room for model, sparsity, engine and counts.

    `whole`: names are paths, of which commands accept no prefix; the table may then be wider.
    """
    listed = list(runs)
    names = [run[0] for run in listed]
    if not whole:
        names = shortened(names, width - NARROW - (REST if width >= WIDE else 0))
    table = Table(box=None, padding=(0, 2, 0, 0), caption=LEGEND, caption_justify="left")
    for name in ("run", "state", "best", "ratio", "age", *(MORE if width >= WIDE else ())):
        justify: Literal["left", "right"] = "left" if name in LEFT else "right"
        table.add_column(name, justify=justify, no_wrap=True, max_width=MODEL if name == "model" else None)
    for name, run in zip(names, listed, strict=True):
        row = run_row(*run)
        best = f"{row['best']:.2f}" if row["best"] is not None else "-"
        ratio = f"{row['ratio']:.3f}" if row["ratio"] is not None else "-"
        cells = [name, row["short_state"], best, ratio, age(row["started"], now)]
        if width >= WIDE:
            cells += [row["model"], row["sparsity"], row["engine"], row["candidates"], row["cells"]]
        table.add_row(*(plain(cell) for cell in cells))
    return table


def shortened(names: Sequence[str], longest: int) -> list[str]:
    """The names if all fit, else the shortest unique prefixes of at least PREFIX letters, which commands accept."""
    if max(map(len, names), default=0) <= longest:
        return list(names)
    return [_unique_prefix(name, names) for name in names]


def _unique_prefix(name: str, names: Sequence[str]) -> str:
    others = [other for other in names if other != name]
    lengths = range(min(PREFIX, len(name)), len(name))
    unique = (length for length in lengths if not any(other.startswith(name[:length]) for other in others))
    return name[: next(unique, len(name))]


def age(started: str, now: datetime | None = None) -> str:
    """The time since an ISO 8601 date in one unit; empty for an empty date. Raises ValueError for another text."""
    if not started:
        return ""
    begun = datetime.fromisoformat(started)
    seconds = ((now or datetime.now().astimezone()) - begun.astimezone()).total_seconds()
    for unit, size in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (unit == 'day' and count > 1)}"
    return "now"


def run_row(name: str, picture: Picture, cells: int, running: bool = False) -> dict[str, Any]:
    """A run as plain data, for `--json` and the table. `ratio`: of best to best baseline, below 1 if it is better."""
    best, baseline = picture.best, picture.best_baseline
    state = "ended" if picture.stop else "running" if running else "unfinished"
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
        "ratio": best.perplexity / baseline[1] if best and best.perplexity and baseline and baseline[1] else None,
        "origin": picture.origin,
        "short_state": f"{state} (fork)" if fork else state,
        "state": (f"ended: {picture.stop}" if picture.stop else state) + fork,
    }
