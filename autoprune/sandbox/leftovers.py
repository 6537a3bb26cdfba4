"""Removing containers and folders of killed searches, which are identified by label and owner."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from autoprune.errors import SandboxUnavailable

_OWNER = "autoprune.sandbox.owner"
_SANDBOX = "autoprune.sandbox.id"
_PREFIX = "autoprune-"


def labels(sandbox: str) -> dict[str, str]:
    """Labels of the containers of one sandbox, by its id, of this process."""
    return {_OWNER: _owner(os.getpid()), _SANDBOX: sandbox}


def folder_prefix() -> str:
    """Prefix of the names of this process's temporary folders."""
    return f"{_PREFIX}{os.getpid()}-"


def sweep(client: Any, sandbox: str | None = None, owner: str | None = None) -> int:
    """Remove containers and folders of ended processes, of `sandbox` and of `owner`; returns the number of containers.

    Containers of running searches, and of other hosts or containers that share the engine, are kept.
    """
    import docker

    removed = 0
    try:
        containers = client.containers.list(all=True, filters={"label": _OWNER}, ignore_removed=True)
    except (docker.errors.DockerException, OSError):  # the engine is gone together with its containers
        containers = []
    for container in containers:
        its_owner, its_sandbox = container.labels.get(_OWNER, ""), container.labels.get(_SANDBOX, "")
        if its_sandbox == sandbox or its_owner == owner or _is_gone(its_owner):
            with contextlib.suppress(docker.errors.DockerException, OSError):
                container.remove(force=True, v=True)
                removed += 1
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    return removed


def remove_own() -> None:
    """Remove this process's containers when it ends without closing its sandbox."""
    from autoprune.sandbox import engine

    if "docker" not in sys.modules:  # then it has no containers
        return
    with contextlib.suppress(SandboxUnavailable):
        client, _ = engine.connect()
        sweep(client, owner=_owner(os.getpid()))
        time.sleep(0.5)  # for containers that another thread has just requested
        sweep(client, owner=_owner(os.getpid()))


def _owner(pid: int) -> str:
    """A unique name of a process. Its start in ticks since boot does not depend on changes of the clock."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{socket.gethostname()}/{boot}/{pid}/{ticks}"


def _is_gone(owner: str) -> bool:
    host, _, rest = owner.partition("/")
    pid = rest.split("/")[1] if rest.count("/") == 2 else ""
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        return _owner(int(pid)) != owner
    except (FileNotFoundError, ProcessLookupError):
        return True
