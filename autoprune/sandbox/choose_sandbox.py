"""Choosing a sandbox by the settings. Candidates never run without one."""

import logging

from autoprune.config_sections import SandboxSettings
from autoprune.errors import AutoPruneError
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.engine import NoEngine

logger = logging.getLogger(__name__)


def make_sandbox(settings: SandboxSettings) -> Sandbox:
    """Create the configured sandbox and log the choice.

    `auto` is docker if an engine answers, else local. Raises SandboxUnavailable if the machine does not support the
    sandbox, AutoPruneError if its image cannot be built.
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
