"""Check a GPU: does it compute what the CPU computes, and what do time and memory of pruning amount to?

    scripts/gpu-check [--device cuda] [--scale full] [--minutes 8] [--out DIR]

Needs no network: models, tokens and texts are random or come with Python. First, every part of pruning is compared with
the CPU on a small random model, with a search of five candidates at the end; then statistics and four methods are timed
on a randomly initialised Llama with the shapes of LLaMA-2-7B. When the time is used up, what is left is skipped and
says so. Writes `gpu-check.json` and `gpu-check.md` to DIR. The exit code is 0 only if every part agrees.

`--device cpu --scale tiny` runs the same code on any machine, which shows only that the script works.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from autoprune.errors import UsageError, first_line
from autoprune.models.loading import choose_device
from benchmarks.gpu.agreement import Agreement, Check
from benchmarks.gpu.clock import OUT_OF_TIME, Clock
from benchmarks.gpu.costs import Cost, costs
from benchmarks.gpu.models import SEVEN_B, SMALL, TINY, Size
from benchmarks.gpu.search import search_checks

MINUTES = 8.0
SCALES = {"full": (SMALL, SEVEN_B), "tiny": (TINY, TINY)}
"""The model that is compared, and the one that is timed."""
GIB = 2**30


def main(words: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 if all parts agree, 1 if not, 2 for a device that cannot be used."""
    arguments = _arguments(words)
    clock = Clock(60 * arguments.minutes)
    try:
        device = choose_device(arguments.device)
    except UsageError as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    small, large = SCALES[arguments.scale]
    checks, measured = [], []
    try:
        for check in _checks(small, device, arguments.device, clock):
            checks.append(check)
            print(_line(check), flush=True)
        for cost in costs(device, large, clock):
            measured.append(cost)
            print(_told(cost), flush=True)
    except RuntimeError as error:  # of a device that cannot even be asked for memory any more
        checks.append(Check("device", str(device), None, 0.0, first_line(error)))
    report = {
        "about": _about(device, arguments.scale),
        "seconds": round(clock.spent, 1),
        "agree": all(check.holds for check in checks),
        "checks": [{**asdict(check), "holds": check.holds} for check in checks],
        "costs": [asdict(cost) for cost in measured],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gpu-check.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "gpu-check.md").write_text(markdown(report), encoding="utf-8")
    for check in checks:
        if not check.holds:
            print(f"gpu-check: {_line(check)}", file=sys.stderr)
    return 0 if report["agree"] else 1


def _checks(size: Size, device: torch.device, name: str, clock: Clock) -> Iterator[Check]:
    yield from Agreement(size, device).checks(clock)
    if clock.over:
        yield Check("search", "five candidates", None, 0.0, OUT_OF_TIME)
    else:
        yield from search_checks(size, name, clock)


def markdown(report: dict[str, Any]) -> str:
    """Both tables of a report."""
    about = report["about"]
    verdict = "All parts agree" if report["agree"] else "Some parts do not agree"
    lines = [
        f"# GPU check: {about['device_name']}",
        "",
        f"{verdict} with the CPU. {report['seconds']:.0f} s in all, {about['date']}, torch {about['torch']}, "
        f"transformers {about['transformers']}, scale {about['scale']}.",
        "",
        "| part | | relative difference | tolerance | |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for check in report["checks"]:
        difference = "failed" if check["difference"] is None else f"{check['difference']:.1e}"
        outcome = check["note"] if check["holds"] else f"**no** {check['note']}"
        cells = (check["part"], check["name"], difference, f"{check['tolerance']:.0e}", outcome.strip())
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| blocks | phase | s | s per block, at most | peak GiB | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for cost in report["costs"]:
        numbers = (_number(cost["seconds"]), _number(cost["block_seconds"]), _number(cost["peak_bytes"], GIB))
        lines.append(f"| {' | '.join((cost['place'], cost['phase'], *numbers, cost['note']))} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, unit: float = 1.0) -> str:
    return "" if value is None else f"{value / unit:.2f}"


def _about(device: torch.device, scale: str) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if on_gpu else f"CPU ({platform.machine()})",
        "device_bytes": torch.cuda.mem_get_info(device)[1] if on_gpu else None,
        "scale": scale,
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "transformers": version("transformers"),
        "autoprune": version("autoprune"),
    }


def _told(cost: Cost) -> str:
    seconds = "" if cost.seconds is None else f"{cost.seconds:.1f} s"
    peak = "" if cost.peak_bytes is None else f", peak {cost.peak_bytes / GIB:.1f} GiB"
    return f"{cost.place}: {cost.phase}: {seconds}{peak} {cost.note}".rstrip()


def _line(check: Check) -> str:
    if check.difference is None:
        return f"{check.part} {check.name}: failed: {check.note}"
    outcome = "agrees" if check.holds else "DIFFERS"
    return f"{check.part} {check.name}: {outcome} ({check.difference:.1e}, at most {check.tolerance:.0e})"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--scale", choices=tuple(SCALES), default="full", help="tiny: a few seconds, for tests")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="wall clock time for everything")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), metavar="DIR", help="where the tables go")
    return parser.parse_args(words)
