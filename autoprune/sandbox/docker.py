"""Candidates in containers: a fresh, warm container for each, connected by one Unix socket.

The container has no network, no capabilities, a read-only root without writable directories, user 65534, an allow-list
of system calls (seccomp.json), and limits on memory, processes and processors; in addition the worker enters the jail
of `local`. Not protected: bugs in the kernel or the engine, and the processor's caches. Access to the engine, which
this program has while it runs, is equivalent to root access to the machine.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

from autoprune.candidates.screen import refuse
from autoprune.config_sections import SandboxSettings
from autoprune.cores import sandbox_threads
from autoprune.errors import SandboxMissing
from autoprune.pruning.layers import Session
from autoprune.sandbox import engine, leftovers, runtime
from autoprune.sandbox.docker_worker import CHANNEL_PATH, DockerWorker, bind
from autoprune.sandbox.image import RUNTIME_LABEL, ensure_image
from autoprune.sandbox.local import environment
from autoprune.sandbox.parallel_session import ParallelSession
from autoprune.sandbox.pool import Pool
from autoprune.sandbox.protocol import readable
from autoprune.sandbox.session import WorkerSession, lengthened

_MAX_PROCESSES = 512
# Beside the candidate's own memory: the interpreter, torch, and pages of the mapped bundle.
_BASE_MEMORY = 768 * 1024 * 1024
_NOBODY = "65534:65534"


class DockerSandbox:
    """The sandbox `docker`: a fresh container per candidate, while the next one warms up."""

    name = "docker"

    def __init__(self, settings: SandboxSettings, spares: int = 1) -> None:
        """Raises SandboxUnavailable, AutoPruneError. Logs a line if the image must be built."""
        self._settings = settings
        self._id = uuid.uuid4().hex
        self._client, self._address = engine.connect()
        if settings.gpu and not engine.has_gpu(self._client.info()):
            raise SandboxMissing("sandbox.gpu is set, but the engine has no GPU to hand to a container")
        leftovers.sweep(self._client)
        image = ensure_image(self._client, settings.image)
        bound = (image.labels or {}).get(RUNTIME_LABEL) == "bound"
        options = self._options(str(image.id), bound)
        hidden = runtime.hidden_folders() if bound else []
        self._remover = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox-remove")

        def start() -> DockerWorker:
            # The next worker warms up while trusted code measures, not while this one scores.
            worker = DockerWorker(self._client, options, hidden, self._remover, self._pool.warm)
            # Containers that the engine was still creating for a killed search appear after the sweep above.
            leftovers.sweep(self._client)
            return worker

        self._pool = Pool(start, spares)
        self._pool.warm()

    @contextlib.contextmanager
    def open(self, source: str, bundle: Path, times: float = 1.0) -> Iterator[Session]:
        refuse(source)
        _let_others_read(bundle)
        with self._session(source, bundle, lengthened(self._settings, times)) as session:
            whole = ParallelSession([session], lambda: self._session(source, bundle, self._settings))
            with whole.telling():
                yield whole

    @contextlib.contextmanager
    def _session(self, source: str, bundle: Path, settings: SandboxSettings) -> Iterator[WorkerSession]:
        worker = self._pool.take()
        if readable(worker.channel, 0):  # a waiting worker sends nothing, so it has ended, e.g. with the engine
            worker.close()
            worker = self._pool.take()
        with (
            contextlib.closing(worker),
            contextlib.closing(WorkerSession(worker, source, bundle, settings)) as session,
        ):
            yield session

    def wait_until_warm(self) -> None:
        self._pool.wait()

    def close(self) -> None:
        self._pool.close()
        self._remover.shutdown()
        leftovers.sweep(self._client, self._id)
        self._client.close()

    def describe(self) -> str:
        return engine.describe(self._client, self._address)

    def _options(self, image: str, bound: bool) -> dict[str, Any]:
        import docker

        settings = self._settings
        threads = sandbox_threads()
        binds = runtime.package_binds() | (runtime.interpreter_binds() if bound else {})
        memory = settings.memory_mb * 1024 * 1024 + _BASE_MEMORY
        profile = _seccomp_profile(engine.is_podman(self._client))
        python = f"{runtime.PYTHON_PATH}/bin/python3" if bound else "python3"
        return {
            "image": image,
            "command": [python, "-s", "-P", "-B", "-m", "autoprune.sandbox.inside.worker", f"{CHANNEL_PATH}/socket"],
            "entrypoint": [],
            "environment": environment(threads, runtime.PACKAGE_PATH)
            | (runtime.interpreter_environment() if bound else {})
            | {"HOME": "/", "TORCHINDUCTOR_CACHE_DIR": "/nowhere"},
            "mounts": [bind(here, there) for here, there in binds.items()],
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
    """The profile: Docker takes the JSON text, podman the path of the file."""
    profile = files("autoprune.sandbox").joinpath("seccomp.json")
    return str(profile) if podman else profile.read_text(encoding="utf-8")


def _let_others_read(bundle: Path) -> None:
    """Make the bundle readable for the worker, which is user 65534, whatever the umask."""
    for path, bits in ((bundle, 0o005), *((file, 0o004) for file in bundle.iterdir())):
        mode = path.stat().st_mode
        if mode & bits != bits and path.stat().st_uid == os.getuid():
            path.chmod(mode | bits)
