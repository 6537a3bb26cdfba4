"""One container with a warm worker in it: started, watched, frozen and thawed, removed."""

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from autoprune.errors import SandboxUnavailable, message_of
from autoprune.sandbox import leftovers, protocol
from autoprune.sandbox.channel import DEATHS
from autoprune.sandbox.memory import Growth
from autoprune.sandbox.protocol import readable, wait_until_ready

CHANNEL_PATH = "/run/autoprune"
"""The folder in the container with the worker's end of the socket."""
_START_SECONDS = 180.0
_CREDENTIALS = struct.Struct("3i")  # of the peer of a socket: process, user, group
# Seconds until an idle worker is frozen: most gaps between two questions are shorter than freezing and thawing.
_GRACE = 0.05


class DockerWorker:
    """See session.Worker."""

    need_landlock = False

    def __init__(
        self,
        client: Any,
        options: dict[str, Any],
        hidden: list[str],
        remover: ThreadPoolExecutor,
        at_rest: Callable[[], None],
    ) -> None:
        """`at_rest` is called, from any thread, whenever this worker has become idle. Raises SandboxUnavailable."""
        import docker

        self._remover = remover
        self._at_rest = at_rest
        self._freezing: threading.Timer | None = None
        self._frozen = False
        self._closed = False
        # The outer folder is accessible to its owner only; the container mounts the inner one.
        outer = Path(tempfile.mkdtemp(prefix=leftovers.folder_prefix()))
        try:
            inner, empty = outer / "channel", outer / "empty"
            for folder in (inner, empty):
                folder.mkdir()
                folder.chmod(0o755)
            with socket.socket(socket.AF_UNIX) as listener:
                _bind_in(listener, inner)
                (inner / "socket").chmod(0o666)
                listener.listen(1)
                covers = [bind(str(empty), path) for path in hidden]
                mounts = [*options["mounts"], bind(str(inner), CHANNEL_PATH), *covers]
                self._container = client.containers.create(**{**options, "mounts": mounts})
                with contextlib.ExitStack() as undo:
                    undo.callback(self._remove)
                    self._container.start()
                    self.channel = self._accept(listener)
                    wait_until_ready(self.channel)
                    self._growth = Growth(_other_end(self.channel))
                    undo.pop_all()
        except docker.errors.ImageNotFound:
            raise SandboxUnavailable(
                f"there is no image {options['image']}: build it with `autoprune sandbox build`"
            ) from None
        except (EOFError, TimeoutError, ConnectionError, protocol.ProtocolError) as error:
            raise SandboxUnavailable(f"the worker in the container did not start: {error}") from None
        except (docker.errors.DockerException, OSError) as error:
            reason = message_of(error)[:400]
            raise SandboxUnavailable(f"the engine did not start a container: {reason}") from None
        finally:
            shutil.rmtree(outer, ignore_errors=True)

    def overuse(self) -> tuple[str, str] | None:
        """None, since the container has limits of its own."""
        return None

    def ended(self) -> tuple[str, str]:
        """From the state of the container, which may take a moment to end after its channel is closed."""
        deadline = time.monotonic() + 3.0
        state = self._state()
        while state.get("Running") and time.monotonic() < deadline:
            time.sleep(0.05)
            state = self._state()
        if state.get("OOMKilled"):
            return "memory", "the container used more memory than it may"
        if state.get("Running"):
            return "protocol", "the process closed its channel"
        code = int(state.get("ExitCode", -1))
        return DEATHS.get(code - 128, ("crashed", f"the process ended with exit code {code} before it answered"))

    def memory(self) -> int | None:
        return self._growth.most()

    def pause(self) -> None:
        """Freeze the container after a short delay, in the background, unless the worker is resumed before."""
        self._freezing = threading.Timer(_GRACE, self._freeze)
        self._freezing.start()

    def resume(self) -> None:
        self._stop_freezing()
        if self._frozen:
            self._ask_engine("unpause")
            self._frozen = False

    def close(self) -> None:
        """Kill and remove the container in the background."""
        if not self._closed:
            self._closed = True
            self.channel.close()
            self._remover.submit(self._remove)
            self._at_rest()

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if readable(listener, 0.5):
                return listener.accept()[0]
            if not self._state().get("Running"):
                lines = self._container.logs(tail=3).decode("utf-8", "replace").strip().splitlines()
                raise ConnectionError(lines[-1] if lines else f"exit code {self._state().get('ExitCode')}")
        raise TimeoutError(f"no connection within {_START_SECONDS:g} s")

    def _state(self) -> dict[str, Any]:
        import docker

        try:
            self._container.reload()
        except (docker.errors.DockerException, OSError):  # the container or the engine is gone
            return {}
        state: dict[str, Any] = self._container.attrs["State"]
        return state

    def _freeze(self) -> None:
        self._ask_engine("pause")
        self._frozen = True
        self._at_rest()

    def _stop_freezing(self) -> None:
        """Cancel or finish a pending freeze."""
        if self._freezing is not None:
            self._freezing.cancel()
            self._freezing.join()

    def _ask_engine(self, verb: str) -> None:
        """Ask the engine to freeze or thaw. Rootless engines without a cgroup of their own cannot, which is
        harmless."""
        import docker

        with contextlib.suppress(docker.errors.DockerException, OSError):
            getattr(self._container, verb)()

    def _remove(self) -> None:
        import docker

        self._stop_freezing()
        # Errors for a container that is being removed are ignored; the sweep at the end checks again.
        with contextlib.suppress(docker.errors.DockerException, OSError):
            self._container.remove(force=True, v=True)


def bind(here: str, there: str) -> Any:
    """A read-only mount of a file or folder of this machine."""
    import docker

    return docker.types.Mount(target=there, source=here, type="bind", read_only=True)


def _bind_in(listener: socket.socket, folder: Path) -> None:
    """Bind to `folder/socket` by the folder's descriptor, since a socket's path is limited to 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
    finally:
        os.close(descriptor)


def _other_end(channel: socket.socket) -> int:
    """The worker's process id outside the container; 0 if it is not visible."""
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])
