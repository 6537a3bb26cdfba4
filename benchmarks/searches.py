"""Several searches with the same budget, of several variants and seeds, and one table of what they found."""

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from autoprune.report.picture import Picture
from autoprune.runs.events import read_events

COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """One search: the lowest search perplexity after each candidate (infinite before the first that was measured)."""

    variant: str
    seed: int
    curve: tuple[float, ...]
    measured: int
    tokens: int
    minutes: float


def compare(arguments: argparse.Namespace, variants: Mapping[str, Sequence[str]], title: str, notes: str = "") -> None:
    """Search what has not been searched yet, seed by seed, and print the table. `variants`: name -> further words of
    the command; the first is the one that the others are compared with."""
    if unknown := set(arguments.only or ()) - set(variants):
        raise SystemExit(f"no variant is called {', '.join(sorted(unknown))}; there are {', '.join(variants)}")
    variants = {name: words for name, words in variants.items() if name in (arguments.only or variants)}
    console = Console(soft_wrap=True)
    rows = []
    for seed in range(arguments.seeds):
        for variant, words in variants.items():
            directory = arguments.rows / f"{variant.replace(' ', '-')}-{seed}"
            if not arguments.table:
                _search(arguments, words, seed, directory)
            row = _read(variant, seed, directory)
            if row is not None:
                rows.append(row)
                console.print(f"{variant}, seed {seed}: best {shown(row.curve[-1])}", highlight=False)
    text = "\n\n".join(part for part in (table(rows, title), notes) if part)
    console.print(Markdown(text) if console.is_terminal else text, highlight=False)


def _search(arguments: argparse.Namespace, more: Sequence[str], seed: int, directory: Path) -> None:
    """Start, or go on with, or leave alone what has ended."""
    if (directory / "config.yaml").exists():
        words = ["resume", str(directory), "--json"]
    else:
        words = ["search", "--model", arguments.model, "--seed", str(seed), "--json", "--run-dir", str(directory)]
        words += ["--max-candidates", str(arguments.candidates), *more]
        words += ["--max-minutes", str(arguments.minutes)] if arguments.minutes else []
        words += arguments.settings
    done = subprocess.run([sys.executable, "-m", "autoprune", *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"{directory} ended with exit code {done.returncode}; run the same command again to go on")


def _read(variant: str, seed: int, directory: Path) -> Row | None:
    """What a search that has ended found; None for one that has not."""
    picture = Picture.of(read_events(directory / "events.jsonl"))
    if not picture.stop:
        return None
    found = [math.inf if slot.perplexity is None else slot.perplexity for slot in picture.slots.values()]
    measured = sum(not math.isinf(each) for each in found)
    spent = picture.spent
    return Row(variant, seed, tuple(accumulate(found, min)), measured, spent["tokens"], spent["seconds"] / 60)


def table(rows: list[Row], title: str) -> str:
    """Markdown: best so far after some of the candidates as median (lowest to highest) over the seeds. A search that
    its minutes ended earlier stays where it was."""
    if not rows:
        return "no row has ended yet"
    length = max(len(row.curve) for row in rows)
    places = sorted({max(1, round(length * part / COLUMNS)) for part in range(1, COLUMNS + 1)})
    seeds, first = len({row.seed for row in rows}), rows[0].variant
    lines = [
        f"Lowest search perplexity after so many candidates, median (lowest to highest) of {seeds} seeds; {title}",
        "",
        f"| variant | {' | '.join(map(str, places))} | tried | measured | minutes | tokens | better than {first} |",
        "| --- |" + " ---: |" * (len(places) + 5),
    ]
    ends = {row.seed: row.curve[-1] for row in rows if row.variant == first}
    for variant in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == variant]
        cells = [_spread([row.curve[min(place, len(row.curve)) - 1] for row in own]) for place in places]
        tried = sum(len(row.curve) for row in own)
        share = f"{100 * sum(row.measured for row in own) / tried:.0f} %"
        minutes = f"{statistics.mean(row.minutes for row in own):.1f}"
        tokens = f"{statistics.mean(row.tokens for row in own):,.0f}"
        compared = [row for row in own if row.seed in ends]
        wins = sum(row.curve[-1] < ends[row.seed] for row in compared)
        against = "" if variant == first else f"{wins} of {len(compared)} seeds"
        cells += [f"{tried / len(own):.0f}", share, minutes, tokens, against]
        lines.append(f"| {' | '.join([variant, *cells])} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{shown(statistics.median_low(values))} ({shown(min(values))} to {shown(max(values))})"


def shown(perplexity: float) -> str:
    return "none" if math.isinf(perplexity) else f"{perplexity:.1f}"


def parser(text: str, rows: str) -> argparse.ArgumentParser:
    """What all such benchmarks take; settings may stand between options if they are parsed intermixed."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings for every search")
    found.add_argument("--model", default="smollm2-135m")
    found.add_argument("--candidates", type=int, default=24, help="per search")
    found.add_argument("--minutes", type=float, help="per search, if the candidates do not end it earlier")
    found.add_argument("--seeds", type=int, default=3)
    found.add_argument("--only", action="append", metavar="VARIANT", help="may be given several times")
    found.add_argument("--rows", type=Path, default=Path(rows), help="where the runs are kept")
    found.add_argument("--table", action="store_true", help="search nothing, print what has ended")
    return found
