"""What the reasoning graph is worth: the same budget of candidates with and without its parts, over several seeds.

    python benchmarks/gcot_ablation.py --llm local [--model M] [--candidates N] [--seeds K] [--rows DIR] [--table]

Variants: the chain of thought in the prompt full, flat (the parents and their measurements alone), none, or no-credit
(the path is not chosen by credit); and parents drawn by rank or at random.

With `--llm symbolic` only the choice of parents is compared: the symbolic engine writes expressions and reads no
prompt, so that `agents.gcot` changes nothing of what it proposes. The output says so too.

Each row is a search of its own, by the command `autoprune search`, in a run directory under --rows. One that was
stopped is resumed, one that has ended is not run again. With the local LLM a row of 24 candidates takes about as long
as two of the README's searches.
"""

import argparse
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from autoprune.report.picture import Picture, Slot
from autoprune.runs.events import read_events

VARIANTS = {
    "full": (),
    "flat": ("agents.gcot=flat",),
    "none": ("agents.gcot=none",),
    "no-credit": ("agents.gcot=no-credit",),
    "random parents": ("agents.parents=random",),
}
BY_SYMBOLIC = ("full", "random parents")
COLUMNS = 4


@dataclass(frozen=True)
class Row:
    """One search: the lowest search perplexity after each candidate (infinite before the first that was measured)."""

    variant: str
    seed: int
    curve: tuple[float, ...]
    measured: int
    tokens: int


def main() -> None:
    arguments = read_arguments()
    console = Console(soft_wrap=True)
    variants = BY_SYMBOLIC if arguments.llm == "symbolic" else tuple(VARIANTS)
    rows = []
    for seed in range(arguments.seeds):
        for variant in variants:
            directory = arguments.rows / f"{variant.replace(' ', '-')}-{seed}"
            if not arguments.table:
                search(arguments, variant, seed, directory)
            row = read_row(variant, seed, directory)
            if row is not None:
                rows.append(row)
                console.print(f"{variant}, seed {seed}: best {shown(row.curve[-1])}", highlight=False)
    text = table(rows, arguments.llm)
    console.print(Markdown(text) if console.is_terminal else text, highlight=False)


def search(arguments: argparse.Namespace, variant: str, seed: int, directory: Path) -> None:
    """Start, or go on with, or leave alone what has ended."""
    if (directory / "config.yaml").exists():
        words = ["resume", str(directory), "--json"]
    else:
        words = ["search", "--model", arguments.model, "--llm", arguments.llm, "--seed", str(seed), "--json"]
        words += ["--max-candidates", str(arguments.candidates), "--run-dir", str(directory)]
        words += [*VARIANTS[variant], *(["agents.symbolic_share=0"] if arguments.llm != "symbolic" else [])]
        words += arguments.settings
    done = subprocess.run([sys.executable, "-m", "autoprune", *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"{directory} ended with exit code {done.returncode}; run the same command again to go on")


def read_row(variant: str, seed: int, directory: Path) -> Row | None:
    """What a search that has ended found; None for one that has not."""
    picture = Picture.of(read_events(directory / "events.jsonl"))
    if not picture.stop:
        return None
    slots = list(picture.slots.values())
    found = [math.inf if slot.perplexity is None else slot.perplexity for slot in slots]
    measured = sum(was_measured(slot) for slot in slots)
    return Row(variant, seed, tuple(accumulate(found, min)), measured, picture.spent["tokens"])


def was_measured(slot: Slot) -> bool:
    return slot.perplexity is not None


def table(rows: list[Row], llm: str) -> str:
    """Markdown: best so far after some of the candidates as median (lowest to highest) over the seeds."""
    if not rows:
        return "no row has ended yet"
    length = min(len(row.curve) for row in rows)
    places = sorted({max(1, round(length * part / COLUMNS)) for part in range(1, COLUMNS + 1)})
    seeds = len({row.seed for row in rows})
    lines = [
        f"Lowest search perplexity after so many candidates, median (lowest to highest) of {seeds} seeds; LLM: {llm}",
        "",
        "| variant | " + " | ".join(map(str, places)) + " | measured | tokens | better than full |",
        "| --- |" + " ---: |" * (len(places) + 3),
    ]
    full = {row.seed: row.curve[length - 1] for row in rows if row.variant == "full"}
    for variant in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == variant]
        cells = [spread([row.curve[place - 1] for row in own]) for place in places]
        share = f"{100 * sum(row.measured for row in own) / sum(len(row.curve) for row in own):.0f} %"
        tokens = f"{statistics.mean(row.tokens for row in own):,.0f}"
        compared = [row for row in own if row.seed in full]
        wins = sum(row.curve[length - 1] < full[row.seed] for row in compared)
        against = "" if variant == "full" else f"{wins} of {len(compared)} seeds"
        lines.append(f"| {' | '.join([variant, *cells, share, tokens, against])} |")
    if llm == "symbolic":
        lines += ["", "The symbolic engine reads no prompt: `agents.gcot` changes nothing of what it proposes."]
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    return f"{shown(statistics.median_low(values))} ({shown(min(values))} to {shown(max(values))})"


def shown(perplexity: float) -> str:
    return "none" if math.isinf(perplexity) else f"{perplexity:.1f}"


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings for every search")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--llm", choices=("symbolic", "local", "openai"), default="symbolic")
    parser.add_argument("--candidates", type=int, default=24, help="per search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=Path, default=Path("runs/gcot-ablation"), help="where the runs are kept")
    parser.add_argument("--table", action="store_true", help="search nothing, print what has ended")
    return parser.parse_args()


if __name__ == "__main__":
    main()
