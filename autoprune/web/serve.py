"""Serving the live page of a run on loopback until the process is interrupted."""

import errno
import os
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from html import escape
from pathlib import Path

import uvicorn

from autoprune.errors import UsageError
from autoprune.runs.control import serving_page
from autoprune.runs.directory import RunDirectory
from autoprune.web.app import live_app
from autoprune.web.live_run import LiveRun

HOST = "127.0.0.1"
GRACE = 2
"""Seconds that open replies have at the end."""


def serve(run: RunDirectory, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until the process is interrupted. `port`: 0 for a free one; `on_ready`: called with the page's address.

    Raises UsageError for a port that cannot be used.
    """
    token = secrets.token_urlsafe(32)
    own = os.access(run.path, os.W_OK)  # a run of someone else's can be shown
    with (
        closing(_listener(port)) as listener,
        closing(LiveRun(run)) as live,
        serving_page(run) if own else nullcontext(),
    ):
        app = live_app(live, token, lambda: server.should_exit)
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        server = uvicorn.Server(config)
        on_ready(f"http://{HOST}:{listener.getsockname()[1]}/#{token}")
        server.run(sockets=[listener])


@contextmanager
def in_browser(address: str) -> Iterator[bool]:
    """Open the address in the user's browser; yields whether there is one.

    The browser gets a private file that leads there, since other users of the machine can see its command line.
    """
    with tempfile.TemporaryDirectory(prefix="autoprune-view-") as home:
        page = Path(home, "open.html")
        page.touch(mode=0o600)
        page.write_text(f'<meta http-equiv="refresh" content="0; url={escape(address)}">', encoding="utf-8")
        yield webbrowser.open(page.as_uri())


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise UsageError(f"port {port} {reason}; choose another with --port, or --port 0 for a free one") from None
