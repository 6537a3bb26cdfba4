"""`autoprune doctor`: what this machine has, and what will be used."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.table import Table

from autoprune.cli.common import console, print_json
from autoprune.config import LLMSettings, SandboxSettings
from autoprune.errors import AutoPruneError
from autoprune.report.text import plain

PACKAGES = (
    "autoprune",
    "torch",
    "transformers",
    "langgraph",
    "langchain-openai",
    "xllamacpp",
    "docker",
    "lm-eval",
    "psycopg",
)


def doctor(
    model: Annotated[str | None, typer.Option(help="Load this target too, and say what would be pruned.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what was found on this machine and what a search would use. Exit 1 if none can run."""
    findings = {**_machine(), **_packages(), "chat model": _llm(), "engines": _engines(), "sandbox": _sandbox()}
    if model is not None:
        findings["target"] = _target(model)
    if as_json:
        print_json(findings)
    else:
        table = Table(box=None, padding=(0, 2), show_header=False)
        for name, finding in findings.items():
            table.add_row(name, plain(finding))
        console().print(table)
    if findings["sandbox"].startswith("none"):
        raise typer.Exit(1)


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
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed (optional)"
    return found


def _llm() -> str:
    from autoprune.agents.chat.choose import choose_llm

    said: list[str] = []
    try:
        choose_llm(LLMSettings(), said.append)
    except AutoPruneError as error:
        return f"none: {error}"
    return "; ".join(said)


def _engines() -> str:
    from autoprune.sandbox import engine

    named = "from DOCKER_HOST: " if os.environ.get("DOCKER_HOST") else ""
    return named + "; ".join(engine.survey())


def _sandbox() -> str:
    from autoprune.sandbox.choose import make_sandbox

    said: list[str] = []
    try:
        make_sandbox(SandboxSettings(), said.append).close()
    except AutoPruneError as error:
        return f"none: {error}"
    return "; ".join(said)


def _target(model: str) -> str:
    from autoprune.pruning.target import load_target

    said: list[str] = []
    target = load_target(model, notify=said.append)
    blocks = len({layer.block for layer in target.layers})
    facts = f"{model}: {target.weights:,} prunable weights in {len(target.layers)} matrices of {blocks} decoder blocks"
    return "; ".join([facts, f"on {target.device}", *said])
