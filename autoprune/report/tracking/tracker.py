"""What every experiment tracker does, and what it is given."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from autoprune.config_sections import TrackingSettings
from autoprune.config_values import without_user
from autoprune.errors import UsageError
from autoprune.report.tracking.metrics import Metrics

LONGEST = 500
"""Characters of a parameter or tag, which older MLflow servers limit to this length."""
SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker describes it. `identity`: the same in every session of the run, and different for its forks.

    `parameters`: the flattened settings, with secrets masked. `folder`: of the tracker's own in the run directory.
    """

    identity: str
    name: str
    folder: Path
    parameters: dict[str, Any] = field(repr=False)
    tags: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Ending:
    """The end of a search: figures of the confirmation on the report split, one sentence, and files to store."""

    step: int
    figures: dict[str, float]
    conclusion: str
    files: Sequence[Path]


class Tracker(Protocol):
    """Logs one run. Any error of the tracker's library may be raised; metrics that it has already are not repeated.

    `server`: the address of the HTTP server that the settings or the environment name and that it will contact, if any.
    """

    @property
    def server(self) -> str | None: ...

    def begin(self, run: TrackedRun) -> str:
        """Start the tracked run, or continue it. Returns one line with its place and id."""

    def log(self, metrics: Metrics) -> None: ...

    def end(self, ending: Ending | None) -> None:
        """Close the tracked run. None: the search was paused or failed, and may be resumed."""


def open_tracker(settings: TrackingSettings) -> Tracker:
    """The tracker of these settings, without importing its library. Raises UsageError if that is not installed."""
    from autoprune.report.tracking.to_mlflow import MLflowTracker
    from autoprune.report.tracking.to_wandb import WandbTracker

    trackers: dict[str, Callable[[TrackingSettings], Tracker]] = {"mlflow": MLflowTracker, "wandb": WandbTracker}
    spec = find_spec(settings.to)
    if spec is None or spec.origin is None:  # a folder of that name, as W&B makes, is no library
        raise UsageError(
            f"tracking.to={settings.to} needs the extra {settings.to}: pip install 'autoprune[{settings.to}]'"
        )
    return trackers[settings.to](settings)


def check_server(tracker: Tracker) -> None:
    """Connect to the tracker's server, if it has one, and close the connection; nothing is sent.

    Behind a proxy nothing is tried, since only the proxy may reach the server. Raises UsageError.
    """
    if tracker.server is None:
        return
    parts = urlsplit(tracker.server)
    host = parts.hostname or ""
    if {parts.scheme, "all"} & getproxies().keys() and not proxy_bypass(host):
        return
    try:
        socket.create_connection((host, parts.port or PORTS[parts.scheme]), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"the tracking server {without_user(tracker.server)} cannot be reached: {reason}; check tracking.uri, or "
            "start it"
        ) from None
