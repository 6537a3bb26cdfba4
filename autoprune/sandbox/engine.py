"""Finding a container engine on this machine: Docker, rootless Docker, or podman's Docker-compatible API."""

import os
from pathlib import Path
from typing import Any

from autoprune.errors import SandboxMissing, SandboxUnavailable

_API_SECONDS = 30
_LIMITS = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "processors"}


class NoEngine(SandboxMissing):
    """No engine answers at any of the usual addresses."""


def connect() -> tuple[Any, str]:
    """A client of the first engine that answers, and its address: DOCKER_HOST if set, else the usual sockets.

    Raises SandboxUnavailable with the addresses that were tried.
    """
    tried = []
    for url in addresses():
        try:
            return _client(url), url
        except NoEngine as error:
            tried.append(str(error))
    raise NoEngine(
        f"no container engine answers (tried {', '.join(tried)}): start one, set DOCKER_HOST, "
        "or run scripts/docker-engine start; sandbox.engine=local needs none"
    )


def survey() -> list[str]:
    """One line for each possible address of an engine: its description, or why it does not answer."""
    lines = []
    for url in addresses():
        try:
            client = _client(url)
        except SandboxUnavailable as error:
            lines.append(str(error))
        else:
            lines.append(describe(client, url))
            client.close()
    return lines


def addresses() -> list[str]:
    """The possible addresses of an engine, in the order in which they are tried."""
    if host := os.environ.get("DOCKER_HOST"):
        return [host]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    sockets = [Path("/var/run/docker.sock"), runtime / "docker.sock"]
    sockets += [runtime / "podman/podman.sock", Path("/run/podman/podman.sock")]
    return [f"unix://{path}" for path in sockets if path.exists()] or [f"unix://{sockets[0]}"]


def is_podman(client: Any) -> bool:
    """Whether the engine is podman behind its Docker-compatible API."""
    parts = client.version().get("Components") or []
    return any("podman" in str(part.get("Name", "")).lower() for part in parts)


def describe(client: Any, address: str) -> str:
    """One line on an engine: its kind, version, address, security options and limits."""
    version, info = client.version().get("Version", "?"), client.info()
    kind = "podman" if is_podman(client) else "docker"
    features = [option.partition("name=")[2].split(",")[0] for option in info.get("SecurityOptions") or []]
    options = ", ".join([*filter(None, features), *(["GPU"] if has_gpu(info) else [])])
    # A rootless engine without a control group of its own accepts these settings without effect.
    lacking = [what for key, what in _LIMITS.items() if info.get(key) is False]
    limits = f"; it cannot limit {', '.join(lacking)}" if lacking else ""
    return f"{kind} {version} at {address} ({options or 'no security options reported'}{limits})"


def has_gpu(info: dict[str, Any]) -> bool:
    """Whether the engine can give a container access to NVIDIA devices."""
    devices = info.get("DiscoveredDevices") or []
    return "nvidia" in (info.get("Runtimes") or {}) or any("nvidia" in str(device) for device in devices)


def _client(url: str) -> Any:
    """Raises NoEngine (address and reason) if nothing answers, SandboxUnavailable for an unsuitable engine."""
    try:
        import docker
    except ImportError:
        raise SandboxMissing("the docker sandbox needs the package docker: pip install 'autoprune[docker]'") from None
    if not url.startswith("unix://"):
        raise SandboxMissing(
            f"DOCKER_HOST={url} is not on this machine: the sandbox hands files and sockets to its containers, "
            "which needs an engine behind a unix:// address; or use sandbox.engine=local"
        )
    try:  # the constructor already requests the version
        client = docker.DockerClient(base_url=url, timeout=_API_SECONDS)
    except (docker.errors.DockerException, OSError) as error:
        raise NoEngine(f"{url} ({_reason(error)})") from None
    # A local socket needs no proxy. Otherwise each request iterates over the environment, and fails if another thread
    # changes a variable at that moment.
    client.api.trust_env = False
    return client


def _reason(error: BaseException) -> str:
    text = str(error)
    for phrase in ("Permission denied", "No such file", "Connection refused"):
        if phrase in text:
            return phrase.lower()
    return type(error).__name__
