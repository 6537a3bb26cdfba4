"""`autoprune view`."""

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from autoprune.cli.common import console, print_json, say
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.options import Run
from autoprune.errors import UsageError
from autoprune.report.text import plain

INSTALL = "pip install 'autoprune[view]'"
PORT = 8765


def view(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free one.")] = PORT,
    open_browser: Annotated[bool, typer.Option("--open", help="Also open the page in a browser.")] = False,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Serve a run as a live page on this machine, until Ctrl+C: events, candidates, approvals, stop, fork, report.

    The address contains a secret: whoever has it can decide for you. On another machine: ssh -L 8765:127.0.0.1:8765.
    """
    directory = open_run(run, trust)
    try:
        from autoprune.web.serve import in_browser, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise UsageError(f"autoprune view needs the extra view: {INSTALL}") from None
    announce(directory, directory.settings()[0])
    with ExitStack() as stack:

        def on_ready(address: str) -> None:
            if as_json:
                print_json({"address": address})
            else:
                console().print(plain(f"{address}   (Ctrl+C ends it)"), soft_wrap=True)
            sys.stdout.flush()
            if open_browser and not stack.enter_context(in_browser(address)):
                say("no browser was found; open the address yourself")

        serve(directory, port, on_ready)
