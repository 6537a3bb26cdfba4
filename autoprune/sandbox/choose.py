"""From settings to a sandbox. There is no unsandboxed choice."""

from collections.abc import Callable

from autoprune.config_sections import SandboxSettings
from autoprune.errors import AutoPruneError
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.engine import NoEngine


def make_sandbox(settings: SandboxSettings, notify: Callable[[str], None]) -> Sandbox:
    """The sandbox that the settings ask for; `notify` gets one line that says which and why.

    `auto` takes docker when an engine answers, else local. Raises SandboxUnavailable when the machine lacks what the
    chosen one needs, AutoPruneError when its image cannot be made.
    """
    if settings.engine == "local":
        return _local(settings, "asked for", notify)
    try:
        return _docker(settings, notify)
    except AutoPruneError as error:
        if settings.engine == "docker":
            raise
        why = "no container engine answers" if isinstance(error, NoEngine) else str(error)
        return _local(settings, why, notify)


def _docker(settings: SandboxSettings, notify: Callable[[str], None]) -> Sandbox:
    from autoprune.sandbox.docker import DockerSandbox

    sandbox = DockerSandbox(settings, notify)
    why = "asked for" if settings.engine == "docker" else "an engine answers"
    notify(f"sandbox: docker ({why}: {sandbox.describe()})")
    return sandbox


def _local(settings: SandboxSettings, why: str, notify: Callable[[str], None]) -> Sandbox:
    from autoprune.sandbox.local import LocalSandbox

    sandbox = LocalSandbox(settings)
    notify(f"sandbox: local, an own process with rlimits, Landlock and seccomp ({why})")
    return sandbox
