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

from autoprune.errors import SandboxUnavailable
from autoprune.sandbox import leftovers, protocol
from autoprune.sandbox.memory import Growth
from autoprune.sandbox.session import readable, wait_until_ready

CHANNEL_PATH = "/run/autoprune"
"""The folder inside the container that holds the worker's end of the socket."""
_START_SECONDS = 180.0
_CREDENTIALS = struct.Struct("3i")  # of a socket's other end: process, user, group
# Seconds from the end of a worker's turn until it is frozen: most gaps between two questions are shorter than what the
# engine takes to freeze and to thaw, and nobody should wait for that.
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
        """`at_rest` is called, from any thread, whenever this worker has left the processor to others.

        Raises SandboxUnavailable.
        """
        import docker

        self._remover = remover
        self._at_rest = at_rest
        self._freezing: threading.Timer | None = None
        self._frozen = False
        self._closed = False
        # Only its owner can pass the outer folder; the container sees the inner one.
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
            raise SandboxUnavailable(f"the engine did not start a container: {_one_line(error)}") from None
        finally:
            shutil.rmtree(outer, ignore_errors=True)

    def overuse(self) -> tuple[str, str] | None:
        """The container's own limits hold; nothing to look at from here."""
        return None

    def ended(self) -> tuple[str, str]:
        """From the container's end; one that only closed its channel is given a moment."""
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
        known = {
            139: ("crashed", "the process died of a segmentation fault"),
            134: ("crashed", "the process was aborted"),
            135: ("crashed", "the process died of a bus error"),
            152: ("timeout", "the process used up its processor time"),
        }
        return known.get(code, ("crashed", f"the process ended with exit code {code} before it answered"))

    def memory(self) -> int | None:
        return self._growth.most()

    def pause(self) -> None:
        """In a moment and in the background, unless it is asked again before."""
        self._freezing = threading.Timer(_GRACE, self._freeze)
        self._freezing.start()

    def resume(self) -> None:
        self._stop_freezing()
        if self._frozen:
            self._ask_engine("unpause")
            self._frozen = False

    def close(self) -> None:
        """Kill and remove, in the background: nobody needs to wait for the engine's housekeeping."""
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
        raise TimeoutError(f"nothing heard from it for {_START_SECONDS:g} s")

    def _state(self) -> dict[str, Any]:
        import docker

        try:
            self._container.reload()
        except (docker.errors.DockerException, OSError):  # gone, or the engine is
            return {}
        state: dict[str, Any] = self._container.attrs["State"]
        return state

    def _freeze(self) -> None:
        self._ask_engine("pause")
        self._frozen = True
        self._at_rest()

    def _stop_freezing(self) -> None:
        """After this it is frozen or it is not, and stays so."""
        if self._freezing is not None:
            self._freezing.cancel()
            self._freezing.join()

    def _ask_engine(self, verb: str) -> None:
        """Where the engine cannot freeze (rootless without a cgroup of its own), the candidate just goes on waiting."""
        import docker

        with contextlib.suppress(docker.errors.DockerException, OSError):
            getattr(self._container, verb)()

    def _remove(self) -> None:
        import docker

        self._stop_freezing()
        # Not found, or being removed already: the sweep at the end looks again.
        with contextlib.suppress(docker.errors.DockerException, OSError):
            self._container.remove(force=True, v=True)


def bind(here: str, there: str) -> Any:
    """A mount of a file or folder of this machine, for reading only."""
    import docker

    return docker.types.Mount(target=there, source=here, type="bind", read_only=True)


def _bind_in(listener: socket.socket, folder: Path) -> None:
    """Bind to `folder/socket` by the folder's descriptor: a socket's path has at most 107 bytes, and TMPDIR may be
    long."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
    finally:
        os.close(descriptor)


def _other_end(channel: socket.socket) -> int:
    """The worker's process id as this side of the container's wall knows it; 0 when it is not to be seen from here."""
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
