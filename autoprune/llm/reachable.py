"""Checks that endpoints can be reached, before anything is computed for a search that could not use them."""

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from autoprune.config_agents import LLMSettings
from autoprune.config_values import without_user
from autoprune.errors import ChatError
from autoprune.llm.provider import ROLES, VENDOR_URL, Choice

SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


def check_reachable(settings: LLMSettings, choice: Choice) -> None:
    """Connect to each endpoint of the agents and close the connection; nothing is sent.

    Behind a proxy nothing is checked, since only the proxy can reach the endpoint. Raises ChatError.
    """
    if choice.provider in ("symbolic", "replay") or choice.recording is not None or getproxies():
        return
    default = os.environ.get("OPENAI_BASE_URL") or VENDOR_URL if choice.provider == "openai" else None
    for url in dict.fromkeys(settings.for_role(role).base_url or default for role in ROLES):
        if url is not None:
            _connect(url)


def _connect(url: str) -> None:
    parts = urlsplit(url)
    try:
        address = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)
        socket.create_connection(address, timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ChatError(
            f"the endpoint {without_user(url)} cannot be reached: {reason}; check llm.base_url, or start its server"
        ) from None
