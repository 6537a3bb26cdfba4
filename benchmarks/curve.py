"""How a search got better: every candidate that was the best so far, beside the best baseline on the search split.

python benchmarks/curve.py RUN
"""

import argparse
import html
import math
import re
from pathlib import Path

from rich.console import Console

from autoprune.report.picture import Picture
from autoprune.report.text import one_line
from autoprune.runs.events import read_events

LONGEST = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    text = table(Picture.of(read_events(parser.parse_args().run / "events.jsonl")))
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def table(picture: Picture) -> str:
    """Markdown: one line for each new best."""
    baseline = picture.best_baseline
    lines = ["| tried | slot | perplexity | of the best baseline | formula |", "| ---: | --- | ---: | ---: | --- |"]
    best = math.inf
    for count, (name, slot) in enumerate(picture.slots.items(), 1):
        if slot.perplexity is None or slot.perplexity >= best:
            continue
        best = slot.perplexity
        share = f"{best / baseline[1]:.3f}" if baseline else ""
        lines.append(f"| {count} | {name} | {best:.2f} | {share} | {_as_cell(slot.idea)} |")
    if baseline:
        lines.append(f"\nBest baseline on the search split: {baseline[0]}, {baseline[1]:.2f}")
    return "\n".join(lines)


def _as_cell(text: str) -> str:
    """What an LLM may have written, as text in a cell of Markdown."""
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(one_line(text, LONGEST), quote=False))


if __name__ == "__main__":
    main()
