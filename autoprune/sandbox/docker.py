"""Candidates in containers: a fresh one each, started warm, connected by one Unix socket, shut in twice.

The container has no network, no capability, a read-only root without any writable place, user 65534, an allow-list of
system calls (seccomp.json), limits on memory, processes and processors; the worker then puts the jail of `local` on
itself. Not protected: bugs in the kernel or the engine; the processor's caches; and whoever can talk to the engine
can do anything on this machine, so this program itself has that power while it runs.
"""

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

from autoprune.config import SandboxSettings
from autoprune.errors import SandboxUnavailable
from autoprune.sandbox import engine, leftovers, protocol, runtime
from autoprune.sandbox.image import RUNTIME_LABEL, ensure_image
from autoprune.sandbox.local import environment
from autoprune.sandbox.memory import Growth
from autoprune.sandbox.pool import Pool
from autoprune.sandbox.screen import refuse
from autoprune.sandbox.session import WorkerSession, lengthened, readable, wait_until_ready

_CHANNEL_PATH = "/run/autoprune"
_START_SECONDS = 180.0
_MAX_PROCESSES = 512
# Beside the candidate's own memory: the interpreter, torch, and the mapped bundle as far as the kernel likes.
_BASE_MEMORY = 768 * 1024 * 1024
_NOBODY = "65534:65534"
_CREDENTIALS = struct.Struct("3i")  # of a socket's other end: process, user, group
# Seconds from the end of a worker's turn until it is frozen: most gaps between two questions are shorter than what the
# engine takes to freeze and to thaw, and nobody should wait for that.
_GRACE = 0.05


class DockerWorker:
    """One container with a warm worker in it."""

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
                listener.bind(str(inner / "socket"))
                (inner / "socket").chmod(0o666)
                listener.listen(1)
                covers = [_bind(str(empty), path) for path in hidden]
                mounts = [*options["mounts"], _bind(str(inner), _CHANNEL_PATH), *covers]
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


class DockerSandbox:
    """The sandbox `docker`: a fresh container per candidate, the next one warming up meanwhile."""

    name = "docker"

    def __init__(self, settings: SandboxSettings, notify: Callable[[str], None], spares: int = 1) -> None:
        """Raises SandboxUnavailable, AutoPruneError. `notify` gets a line when the image has to be made."""
        self._settings = settings
        self._id = uuid.uuid4().hex
        self._client, self._address = engine.connect()
        if settings.gpu and not engine.has_gpu(self._client.info()):
            raise SandboxUnavailable("sandbox.gpu is set, but the engine has no GPU to hand to a container")
        leftovers.sweep(self._client)
        image = ensure_image(self._client, settings.image, notify)
        bound = (image.labels or {}).get(RUNTIME_LABEL) == "bound"
        options = self._options(str(image.id), bound)
        hidden = runtime.hidden_folders() if bound else []
        self._remover = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox-remove")

        def start() -> DockerWorker:
            # The next one warms up while trusted code measures what this one has scored, not beside its scoring.
            worker = DockerWorker(self._client, options, hidden, self._remover, self._pool.warm)
            # One that the engine was still making when its search was killed appears after the sweep above.
            leftovers.sweep(self._client)
            return worker

        self._pool = Pool(start, spares)
        self._pool.warm()

    @contextlib.contextmanager
    def open(self, source: str, bundle: Path, times: int = 1) -> Iterator[WorkerSession]:
        """See base.Sandbox."""
        refuse(source)
        _let_others_read(bundle)
        worker = self._pool.take()
        if readable(worker.channel, 0):  # it waits in silence: so it has ended, perhaps with a restarted engine
            worker.close()
            worker = self._pool.take()
        try:
            session = WorkerSession(worker, source, bundle, lengthened(self._settings, times))
            try:
                yield session
            finally:
                session.close()
        finally:
            worker.close()

    def wait_until_warm(self) -> None:
        """See base.Sandbox."""
        self._pool.wait()

    def close(self) -> None:
        self._pool.close()
        self._remover.shutdown()
        leftovers.sweep(self._client, self._id)
        self._client.close()

    def describe(self) -> str:
        """The engine in one line."""
        return engine.describe(self._client, self._address)

    def _options(self, image: str, bound: bool) -> dict[str, Any]:
        import docker

        settings = self._settings
        threads = settings.threads or os.cpu_count() or 1
        binds = runtime.package_binds() | (runtime.interpreter_binds() if bound else {})
        memory = settings.memory_mb * 1024 * 1024 + _BASE_MEMORY
        profile = _seccomp_profile(engine.is_podman(self._client))
        python = f"{runtime.PYTHON_PATH}/bin/python3" if bound else "python3"
        return {
            "image": image,
            "command": [python, "-s", "-P", "-B", "-m", "autoprune.sandbox.worker", f"{_CHANNEL_PATH}/socket"],
            "entrypoint": [],
            "environment": environment(threads, runtime.PACKAGE_PATH)
            | (runtime.interpreter_environment() if bound else {})
            | {"HOME": "/", "TORCHINDUCTOR_CACHE_DIR": "/nowhere"},
            "mounts": [_bind(here, there) for here, there in binds.items()],
            "labels": leftovers.labels(self._id),
            "user": _NOBODY,
            "working_dir": "/",
            "hostname": "sandbox",
            "network_mode": "none",
            "ipc_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true", f"seccomp={profile}"],
            "init": True,
            "pids_limit": _MAX_PROCESSES,
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": threads * 10**9,
            "oom_score_adj": 500,
            "ulimits": [
                docker.types.Ulimit(name=name, soft=most, hard=most)
                for name, most in {"core": 0, "nofile": 256, "nproc": 4096}.items()
            ],
            "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
            "device_requests": [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])] if settings.gpu else [],
        }


def _seccomp_profile(podman: bool) -> str:
    """Docker wants the JSON text itself, podman the path of the file."""
    profile = files("autoprune.sandbox").joinpath("seccomp.json")
    return str(profile) if podman else profile.read_text(encoding="utf-8")


def _other_end(channel: socket.socket) -> int:
    """The worker's process id as this side of the container's wall knows it; 0 when it is not to be seen from here."""
    found = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[0])


def _bind(here: str, there: str) -> Any:
    import docker

    return docker.types.Mount(target=there, source=here, type="bind", read_only=True)


def _let_others_read(bundle: Path) -> None:
    """The worker is user 65534: what it gets a descriptor of must be readable to it whatever the umask was."""
    for path, bits in ((bundle, 0o005), *((file, 0o004) for file in bundle.iterdir())):
        mode = path.stat().st_mode
        if mode & bits != bits and path.stat().st_uid == os.getuid():
            path.chmod(mode | bits)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
