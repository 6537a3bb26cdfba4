"""The cost of the agents' calls to chat models: calls, tokens, time and money."""

from typing import Any

from rich.table import Table

from autoprune.report.text import duration, plain

COLUMNS = ("agent", "calls", "failed", "tokens read", "tokens written", "time", "USD")
MODEL_COLUMNS = ("model", "proposed", "measured", "better than parent", "gain", "tokens", "USD", "gain per USD")
ALL = "all"
_SUMMED = ("calls", "failed_calls", "tokens_in", "tokens_out", "seconds")


def cost_table(agents: dict[str, dict[str, Any]]) -> Table:
    """One line per agent and a total. Estimated numbers of tokens are marked with ~."""
    table = Table(title="Cost of the agents", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "agent" else "right")
    for cells in cost_cells(agents):
        table.add_row(*map(plain, cells), style="bold" if cells[0] == ALL and len(agents) > 1 else "")
    return table


def cost_cells(agents: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The cells of the table: a row per agent and, for several agents, a total."""
    rows = [_cells(name, usage) for name, usage in agents.items()]
    return rows + [_cells(ALL, _total(agents))] * (len(agents) > 1)


def model_table(models: dict[str, dict[str, Any]]) -> Table:
    """One line per model that proposes in a run with several of them."""
    table = Table(title="Models that propose", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in MODEL_COLUMNS:
        table.add_column(name, justify="left" if name == "model" else "right")
    for cells in model_cells(models):
        table.add_row(*map(plain, cells))
    return table


def model_cells(models: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The cells of the table. The gain is that over the best of earlier generations."""
    return [
        [
            name,
            *(str(facts[key]) for key in ("proposed", "measured", "improved")),
            f"{facts['gain']:.1f} %",
            f"{facts['tokens']:,}",
            "unknown" if facts["usd"] is None else f"{facts['usd']:.4f}",
            f"{facts['gain'] / facts['usd']:.3g} %" if facts["usd"] else "-",
        ]
        for name, facts in models.items()
    ]


def cost_line(agents: dict[str, dict[str, Any]]) -> str:
    """The total cost in one line: `5 calls, 2,310 tokens, 0:21, price unknown`."""
    total = _total(agents)
    failed = f" ({total['failed_calls']} failed)" if total["failed_calls"] else ""
    tokens = f"{'~' if total['estimated'] else ''}{total['tokens_in'] + total['tokens_out']:,} tokens"
    price = "price unknown" if total["usd"] is None else f"{total['usd']:.4f} USD"
    return f"{total['calls']} calls{failed}, {tokens}, {duration(total['seconds'])}, {price}"


def _total(agents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    prices = [usage["usd"] for usage in agents.values()]
    return {
        **{key: sum(usage[key] for usage in agents.values()) for key in _SUMMED},
        "usd": None if None in prices else sum(prices),
        "estimated": any(usage["estimated"] for usage in agents.values()),
    }


def _cells(name: str, usage: dict[str, Any]) -> list[str]:
    guess = "~" if usage["estimated"] else ""
    return [
        name,
        str(usage["calls"]),
        str(usage["failed_calls"]),
        f"{guess}{usage['tokens_in']:,}",
        f"{guess}{usage['tokens_out']:,}",
        duration(usage["seconds"]),
        "unknown" if usage["usd"] is None else f"{usage['usd']:.4f}",
    ]
