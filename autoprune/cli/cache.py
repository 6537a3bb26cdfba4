"""`autoprune cache`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from autoprune import cache as storage
from autoprune.cli import parse
from autoprune.cli.common import console, print_json
from autoprune.downloads import cache_dir
from autoprune.report.text import plain


def cache(
    clear: Annotated[
        str | None, typer.Option(metavar="KINDS", help=f"Kinds to remove, of {','.join(storage.KINDS)}; or all.")
    ] = None,
    unused_for: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="With --clear: only entries unused for this many days.")
    ] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the kinds and the freed space as JSON.")] = False,
) -> None:
    """Show data shared by all runs, or remove unused entries.

    Do not use --unused-for 0 while a run is in progress: it needs its entries.
    """
    removed, freed = storage.clear(_kinds(clear), unused_for) if clear is not None else ([], 0)
    entries = storage.entries()
    rows = [_row(kind, [entry for entry in entries if entry.kind == kind]) for kind in storage.KINDS]
    if as_json:
        paths = [str(entry.path) for entry in removed]
        print_json({"cache": str(cache_dir()), "kinds": rows, "removed": paths, "freed": freed})
        return
    if clear is not None:
        console().print(plain(f"removed {len(removed)} entries, {freed / 1e9:,.2f} GB"), soft_wrap=True)
    table = Table(title=plain(f"{cache_dir()}: {storage.size(entries) / 1e9:,.2f} GB"), box=None, padding=(0, 2))
    table.add_column("kind")
    for name in ("entries", "GB", "days unused"):
        table.add_column(name, justify="right")
    table.add_column("contents")
    for row in rows:
        unused = "" if row["days_unused"] is None else "{:.0f} to {:.0f}".format(*row["days_unused"])
        size, description = f"{row['bytes'] / 1e9:,.2f}", storage.KINDS[row["kind"]]
        table.add_row(row["kind"], str(row["entries"]), size, unused, description)
    console().print(table)


def _kinds(text: str) -> list[str]:
    kinds = list(storage.KINDS)
    return kinds if text == "all" else [parse.choice(word, kinds) for word in parse.words(text)]


def _row(kind: str, entries: Sequence[storage.Entry]) -> dict[str, Any]:
    """`days_unused`: of the most and the least recently used entry."""
    days = sorted((time.time() - entry.used) / storage.DAY for entry in entries)
    return {
        "kind": kind,
        "entries": len(entries),
        "bytes": storage.size(entries),
        "days_unused": [days[0], days[-1]] if days else None,
    }
