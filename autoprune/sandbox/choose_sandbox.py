"""From settings to a sandbox. There is no unsandboxed choice."""

import logging

from autoprune.config_sections import SandboxSettings
from autoprune.errors import AutoPruneError
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.engine import NoEngine

logger = logging.getLogger(__name__)


def make_sandbox(settings: SandboxSettings) -> Sandbox:
    """The sandbox that the settings ask for; one log line says which and why.

    `auto` takes docker when an engine answers, else local. Raises SandboxUnavailable when the machine lacks what the
    chosen one needs, AutoPruneError when its image cannot be made.
    """
    if settings.engine == "local":
        return _local(settings, "asked for")
    try:
        return _docker(settings)
    except AutoPruneError as error:
        if settings.engine == "docker":
            raise
        why = "no container engine answers" if isinstance(error, NoEngine) else str(error)
        return _local(settings, why)


def _docker(settings: SandboxSettings) -> Sandbox:
    from autoprune.sandbox.docker import DockerSandbox

    sandbox = DockerSandbox(settings)
    why = "asked for" if settings.engine == "docker" else "an engine answers"
    logger.info(f"sandbox: docker ({why}: {sandbox.describe()})")
    return sandbox


def _local(settings: SandboxSettings, why: str) -> Sandbox:
    from autoprune.sandbox.local import LocalSandbox

    sandbox = LocalSandbox(settings)
    logger.info(f"sandbox: local, an own process with rlimits, Landlock and seccomp ({why})")
    return sandbox
