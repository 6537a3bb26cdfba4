"""What each part of a shipped discovery is worth: each is taken out once, and all variants are measured in one run.

    python benchmarks/ablation.py coordinate_descent [--sparsity S] [--seeds N] [--statistics dense|sequential]
                                  [KEY=VALUE]

The variants are in `benchmarks/ablations/NAME.yaml`: pieces of the source that are replaced. Two more are made for any
discovery: with uniform allocation, and Wanda's masks refined by swaps in place of its own, under its allocation.
Everything is measured on the report split.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape

from autoprune.candidates.discovered import discovered_source
from autoprune.config import load_config
from autoprune.evaluation.compare import compare, spread
from autoprune.evaluation.recipe import Recipe
from autoprune.log import log_to
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.choose_sandbox import make_sandbox

WANDA_WITH_SWAPS = """

from autoprune import kit

GROUP = "row"


def score(layer):
    return layer.weight.abs() * layer.input_norm


def refine(layer, mask):
    return kit.swaps(layer.weight, mask, layer.hessian, pattern=layer.pattern)
"""


@dataclass(frozen=True)
class Variant:
    """One changed source, and what the table says of it."""

    without: str
    instead: str
    source: str


def variants(name: str) -> Iterator[Variant]:
    """The discovery itself, then one variant for each part. Raises SystemExit where a piece to replace is not there."""
    source = discovered_source(name)
    yield Variant("nothing", "", source)
    for entry in yaml.safe_load((Path(__file__).parent / "ablations" / f"{name}.yaml").read_text(encoding="utf-8")):
        yield Variant(entry["without"], entry.get("but", ""), replaced(source, entry))
    own = source.replace("def score(", "def unused(").replace("def refine(", "def unused_refine(")
    yield Variant("its masks", "Wanda's with swaps", own + WANDA_WITH_SWAPS)


def replaced(source: str, entry: dict[str, Any]) -> str:
    for old, new in entry["replace"]:
        if old not in source:
            raise SystemExit(f"without {entry['without']}: the source has no {old!r}")
        source = source.replace(old, new)
    return source


@log_to(print)
def main() -> None:
    arguments = read_arguments()
    config = load_config(None, [f"model={arguments.model}", f"sparsity={arguments.sparsity}", *arguments.settings])
    console = Console(soft_wrap=True)
    sandbox = make_sandbox(config.sandbox)
    parts = list(variants(arguments.name))
    candidates = [Candidate(f"{part.without}", part.source, sandbox) for part in parts]
    recipe = Recipe(config.sparsity, "sdsa", own_first=True, statistics=arguments.statistics)
    try:
        rows = list(compare(config, candidates, [recipe], arguments.seeds))
    finally:
        sandbox.close()
    console.print(escape(table(parts, {group.row.algorithm: group.mean for group in spread(rows)})), highlight=False)


def table(parts: list[Variant], perplexities: dict[str, float | None]) -> str:
    """Markdown: perplexity of each variant, and its change against the whole algorithm."""
    whole = perplexities["nothing"]
    lines = ["| taken out | in its place | perplexity | change |", "| --- | --- | ---: | ---: |"]
    for part in parts:
        value = perplexities.get(part.without)
        change = f"{100 * (value / whole - 1):+.1f} %" if value and whole and part.without != "nothing" else ""
        shown = f"{value:.2f}" if value else "failed"
        lines.append(f"| {part.without} | {part.instead} | {shown} | {change} |")
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a shipped discovery with a file in benchmarks/ablations")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings, such as data.report_windows=16")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--sparsity", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, default=1, help="calibration samples")
    parser.add_argument("--statistics", default="dense", choices=["dense", "sequential"])
    return parser.parse_intermixed_args()  # settings may follow options


if __name__ == "__main__":
    main()
