"""`autoprune sandbox build` and `autoprune sandbox check`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from autoprune.cli.common import console, errors, print_json
from autoprune.config_sections import SandboxSettings
from autoprune.config_values import SandboxEngine
from autoprune.log import log_to
from autoprune.report.text import plain

CHECK_SECONDS = 5.0
_NAMED: dict[str, Literal["dockerfile", "host"]] = {"dockerfile": "dockerfile", "host": "host"}

sandbox = typer.Typer(
    help="Build and check the sandbox in which candidates run.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


def _show(line: str) -> None:
    errors().print(plain(line))


@sandbox.command("build")
@log_to(_show)
def build(
    source: Annotated[
        str, typer.Option("--from", help="host (this machine's libraries), dockerfile, or a rootfs tarball.")
    ] = "host",
    image: Annotated[str, typer.Option(help="Name of the image.")] = SandboxSettings().image,
) -> None:
    """Build or replace the image of the docker sandbox. `host` and a tarball need no registry."""
    from autoprune.sandbox import engine
    from autoprune.sandbox.image import build_image

    client, _ = engine.connect()
    try:
        built = build_image(client, image, _NAMED.get(source, Path(source)))
    finally:
        client.close()
    console().print(plain(f"{image}: {built}"), soft_wrap=True)


@sandbox.command("check")
@log_to(_show)
def check(
    which: Annotated[SandboxEngine, typer.Option("--sandbox", help="The sandbox to check.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the probes as JSON.")] = False,
) -> None:
    """Run a valid candidate, and attacks that must fail. Exit code 1 otherwise."""
    from autoprune.sandbox.check import check as run_probes
    from autoprune.sandbox.choose_sandbox import make_sandbox

    settings = SandboxSettings(engine=which, seconds=CHECK_SECONDS)
    chosen = make_sandbox(settings)
    try:
        probes = run_probes(chosen)
    finally:
        chosen.close()
    if as_json:
        print_json([vars(probe) for probe in probes])
    else:
        table = Table(box=None, padding=(0, 2))
        for name in ("property", "holds", "outcome", "message"):
            table.add_column(name)
        for probe in probes:
            table.add_row(probe.name, "yes" if probe.passed else "NO", probe.outcome, plain(probe.message))
        console().print(table)
    if not all(probe.passed for probe in probes):
        raise typer.Exit(1)
