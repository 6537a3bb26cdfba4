"""`autoprune doctor`: the machine, the components a search would use, and the resources a search would need."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import overrides, typed
from autoprune.cli.parse import split
from autoprune.config import Config, load_config
from autoprune.errors import AutoPruneError
from autoprune.log import log_to
from autoprune.report.text import plain

if TYPE_CHECKING:
    from autoprune.measuring.resource_plan import ResourcePlan

PACKAGES = (
    *("autoprune", "torch", "transformers", "langgraph", "langchain-openai"),
    *("xllamacpp", "docker", "lm-eval", "psycopg"),
)
PASS, FAIL, MISSING = ("✓", "green"), ("✗", "bold red"), ("–", "dim")
"""Mark and style of a finding; MISSING: of something optional."""
ASSUMED = (
    "Memory is what is needed beyond libraries. Times are for this machine as it is now, without the chat model, "
    "downloads, tuning, polishing and a second model, and with every candidate measured to its end."
)


def doctor(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG.yaml] [KEY=VALUE ...]",
            help="Settings of the search that is planned.",
            autocompletion=complete.assignments,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Plan a search for this target: time and memory by phase.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights to prune, above 0 and below 1.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine and what a search would use; with a target, estimate the search's time and memory.

    Exit 1 if no candidate can run here, or if the target does not fit.
    """
    path, settings = split(words or [])
    with log_to(say):
        config = load_config(path, settings + overrides(context.params), typed=typed(context.params))
    findings: dict[str, Any] = {
        **_machine(),
        **_packages(),
        "chat model": _llm(config),
        "engines": _engines(),
        "sandbox": _sandbox(config),
    }
    planned = None
    if (model or words) and not findings["sandbox"].startswith("none"):
        planned = _plan(config, findings)
    problems = _problems(findings, planned)
    if as_json:
        print_json({**findings, "ready": not problems, **({"plan": _data(planned)} if planned else {})})
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name, finding in findings.items():
            mark, style = FAIL if name in problems else MISSING if _missing(finding) else PASS
            table.add_row(plain(mark, style), name, plain(finding))
        console().print(table)
        if planned:
            _show(planned)
        text = f"not ready for a search: {', '.join(problems)}" if problems else "ready for a search"
        console().print(plain(text, "bold"), soft_wrap=True)
    if findings["sandbox"].startswith("none") or (planned and not planned.fits):
        raise typer.Exit(1)


def _missing(finding: str) -> bool:
    """Whether a finding says that something optional is not there."""
    return finding == "none" or finding.startswith("not installed")


def _problems(findings: dict[str, Any], planned: "ResourcePlan | None") -> list[str]:
    """The names of findings with which no search can run."""
    failed = [name for name in ("chat model", "sandbox") if findings[name].startswith("none")]
    return failed + (["target"] if planned and not planned.fits else [])


def _machine() -> dict[str, str]:
    import psutil
    import torch

    from autoprune.downloads import cache_dir

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    cache = cache_dir()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return {
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        "processors": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB memory",
        "GPU": gpu,
        "cache": f"{cache} ({shutil.disk_usage(existing).free / 1e9:.0f} GB free)",
    }


def _packages() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed (optional)"
    return versions


def _llm(config: Config) -> str:
    from autoprune.llm.provider import choose_llm

    return _logged(lambda: choose_llm(config.llm, config.model))


def _engines() -> str:
    from autoprune.sandbox import engine

    origin = "from DOCKER_HOST: " if os.environ.get("DOCKER_HOST") else ""
    return origin + "; ".join(engine.survey())


def _sandbox(config: Config) -> str:
    from autoprune.sandbox.choose_sandbox import make_sandbox

    return _logged(lambda: make_sandbox(config.sandbox).close())


def _logged(choose: Callable[[], object]) -> str:
    """The log lines of a choice, or its error."""
    lines: list[str] = []
    try:
        with log_to(lines.append):
            choose()
    except AutoPruneError as error:
        return f"none: {error}"
    return "; ".join(lines)


def _plan(config: Config, findings: dict[str, Any]) -> "ResourcePlan":
    """Plan a search; the target's size and the log lines are added to the findings."""
    from autoprune.measuring.resource_plan import plan

    lines: list[str] = []
    with log_to(lines.append):
        planned = plan(config)
    sizes = f"{planned.weights:,} prunable weights in {planned.matrices} matrices of {planned.blocks} decoder blocks"
    findings["target"] = "; ".join([f"{config.model}: {sizes}", f"{planned.dtype} on {planned.device}", *lines])
    return planned


def _data(planned: "ResourcePlan") -> dict[str, Any]:
    return {**asdict(planned), "fits": planned.fits}


def _show(planned: "ResourcePlan") -> None:
    gpu = any(phase.memory.device for phase in planned.phases)
    table = Table(box=None, padding=(0, 2))
    table.add_column("phase")
    for name in ("time", "memory", *(["GPU memory"] if gpu else []), "fits"):
        table.add_column(name, justify="right")
    for phase in planned.phases:
        rooms = [phase.memory.host, *([phase.memory.device] if gpu else [])]
        cells = [_duration(phase.seconds), *map(_size, rooms), "yes" if phase.fits else "no"]
        table.add_row(phase.name, *cells)
    screen = console()
    screen.print(table)
    free = _size(planned.free.host) + (f" and {_size(planned.free.device)} of the GPU's" if gpu else "")
    lines = [f"free: {free}. {ASSUMED}", planned.advice]
    for line in filter(None, lines):
        screen.print(plain(line), soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
