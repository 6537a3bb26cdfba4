"""Tables of the best candidates of each kind, and of the Pareto front of perplexity, time and memory."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table

from autoprune.report.text import plain
from autoprune.runs.quality import COSTS, Niche, Placed, best_of_cells, pareto_front, unknown_costs

_WEIGHT_ALONE = "none"


def quality(placed: Sequence[Placed]) -> list[RenderableType]:
    """Both tables, and lines on omitted candidates; empty without measured candidates."""
    if not placed:
        return []
    parts: list[RenderableType] = []
    if cells := best_of_cells(placed):
        parts.append(map_table(cells))
    if front := pareto_front(placed):
        parts.append(front_table(front))
    return parts + [plain(line, "dim") for line in _left_out(placed)]


def map_table(cells: dict[Niche, Placed]) -> Table:
    """One row per set of inputs, best first; one column per group and class of cost."""
    columns = sorted(
        {(cell.group, cell.cost) for cell in cells}, key=lambda column: (column[0], COSTS.index(column[1]))
    )
    title = "Best of each kind (search perplexity, slot), by inputs, group and cost"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("inputs beside the weight", min_width=10)
    for group, cost in columns:
        table.add_column(f"{group}\n{cost}", justify="right")
    best = next(iter(cells.values()))
    for inputs in dict.fromkeys(cell.inputs for cell in cells):
        texts = []
        for group, cost in columns:
            candidate = cells.get(Niche(inputs, cost, group))
            text = f"{candidate.perplexity:.2f} {candidate.slot}" if candidate else ""
            texts.append(plain(text, "bold green" if candidate is best else ""))
        table.add_row(plain(" + ".join(inputs) or _WEIGHT_ALONE), *texts)
    return table


def front_table(front: Sequence[Placed]) -> Table:
    title = "Pareto front of perplexity, time and memory"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("candidate")
    for name in ("perplexity", "seconds of scoring", "memory, MiB"):
        table.add_column(name, justify="right")
    for candidate in front:
        if candidate.costs is not None:
            perplexity, seconds, mebibytes = candidate.costs
            numbers = (f"{perplexity:.2f}", f"{seconds:.2f}", f"{mebibytes:,}")
            table.add_row(*(plain(text) for text in (f"{candidate.slot} {candidate.candidate[:8]}", *numbers)))
    return table


def _left_out(placed: Sequence[Placed]) -> list[str]:
    lines = []
    if unknown := unknown_costs(placed):
        lines.append(
            f"{unknown} of {len(placed)} measured candidates are not on the front: their time or memory is unknown"
        )
    if gone := sum(candidate.cell is None for candidate in placed):
        lines.append(
            f"{gone} of {len(placed)} measured candidates are not in the map: their source is missing or has changed"
        )
    return lines
