"""Does the same seed find the same? Two searches with the same settings, their archives compared row by row.

    python benchmarks/reproducible.py [KEY=VALUE ...] [--runs A B]

Everything is compared but times and memory: proposals with their chains of thought, outcomes, measurements with the
loss of every window and their sampled masks, the keys of all that they depend on (`MeasurementSpec.key`), the reasoning
graph, and the calls of a chat model. Neither search finds anything in the cache of measurements. --runs compares two
runs that have ended instead. Ends with 1 if they differ.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import select

from autoprune.runs import tables
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory

DIFFER_ANYWAY = frozenset({"seconds", "memory_bytes"})
SETTINGS = ("--llm", "symbolic", "advanced.cache=off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of both searches")
    parser.add_argument("--runs", nargs=2, type=Path, metavar=("A", "B"), help="runs that have ended")
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        runs = arguments.runs or [search(Path(folder) / name, arguments.settings) for name in ("a", "b")]
        first, second = map(contents, runs)
    for part, rows in first.items():
        same = (rows & second[part]).total()
        console.print(f"{part}: {rows.total()} and {second[part].total()} rows, {same} the same")
    console.print("the archives are equal but for times and memory" if first == second else "the archives differ")
    sys.exit(first != second)


def search(run: Path, settings: list[str]) -> Path:
    """A search of its own in this run directory."""
    words = ["search", *SETTINGS, "--run-dir", str(run), "--json", *settings]
    subprocess.run([sys.executable, "-m", "autoprune", *words], stdout=subprocess.DEVNULL, check=True)
    return run


def contents(path: Path) -> dict[str, Counter[str]]:
    """What an archive holds, part by part; which candidate ended first does not matter."""
    archive = Archive.of(RunDirectory(path))
    try:
        parts: dict[str, list[Any]] = {
            "proposals": archive.proposals(),
            "outcomes": archive.outcomes(),
            "measurements": archive.measurements("search") + archive.measurements("report"),
            "thoughts": archive.nodes(),
            "links between thoughts": archive.edges(),
        }
        found = {part: Counter(repr(without_times(vars(row))) for row in rows) for part, rows in parts.items()}
        calls = Counter(repr(without_times(call)) for call in archive.calls().items())
        return found | {"measurement keys": Counter(map(repr, keys(archive))), "calls of a chat model": calls}
    finally:
        archive.close()


def keys(archive: Archive) -> list[tuple[str, str, str]]:
    """(subject, split, key) of every measurement."""
    columns = tables.measurements.c
    with archive.engine.connect() as connection:
        rows = connection.execute(select(columns.subject, columns.split, columns.settings))
        return [(row.subject, row.split, row.settings) for row in rows]


def without_times(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_times(inner) for key, inner in value.items() if key not in DIFFER_ANYWAY}
        case list() | tuple():
            return [without_times(inner) for inner in value]
    return value


if __name__ == "__main__":
    main()
