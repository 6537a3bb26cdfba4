"""`autoprune cache`."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from autoprune import cache as kept
from autoprune.cli import parse as words
from autoprune.cli.common import console, print_json
from autoprune.downloads import cache_dir
from autoprune.report.text import plain


def cache(
    clear: Annotated[
        str | None, typer.Option(metavar="KINDS", help=f"Remove these, of {','.join(kept.KINDS)}; or all.")
    ] = None,
    unused_for: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="With --clear: only what nobody wrote or read for so long.")
    ] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the kinds, and what was freed, as JSON.")] = False,
) -> None:
    """Show what is kept from run to run, or remove what was not used for long.

    A run that is at work needs what it uses: do not clear that with --unused-for 0.
    """
    removed, freed = kept.clear(_kinds(clear), unused_for) if clear is not None else ([], 0)
    found = kept.entries()
    rows = [_row(kind, [each for each in found if each.kind == kind]) for kind in kept.KINDS]
    if as_json:
        print_json(
            {"cache": str(cache_dir()), "kinds": rows, "removed": [str(e.path) for e in removed], "freed": freed}
        )
        return
    if clear is not None:
        console().print(plain(f"removed {len(removed)} entries, {freed / 1e9:,.2f} GB"), soft_wrap=True)
    table = Table(title=plain(f"{cache_dir()}: {kept.size(found) / 1e9:,.2f} GB"), box=None, padding=(0, 2))
    table.add_column("kind")
    for name in ("entries", "GB", "days unused"):
        table.add_column(name, justify="right")
    table.add_column("what it is")
    for row in rows:
        unused = "" if row["days_unused"] is None else "{:.0f} to {:.0f}".format(*row["days_unused"])
        table.add_row(row["kind"], str(row["entries"]), f"{row['bytes'] / 1e9:,.2f}", unused, kept.KINDS[row["kind"]])
    console().print(table)


def _kinds(text: str) -> list[str]:
    return list(kept.KINDS) if text == "all" else [words.choice(word, tuple(kept.KINDS)) for word in words.words(text)]


def _row(kind: str, found: Sequence[kept.Entry]) -> dict[str, Any]:
    """`days_unused`: of the entry that was used last, and of the one that was not for longest."""
    days = sorted((time.time() - each.used) / kept.DAY for each in found)
    return {
        "kind": kind,
        "entries": len(found),
        "bytes": kept.size(found),
        "days_unused": [days[0], days[-1]] if days else None,
    }
