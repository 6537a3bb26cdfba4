"""Workers on a Ray cluster: actors that hold the target and its statistics, each with a GPU or some cores of its own.

A node gets missing files from Ray's object store, once per node and never per candidate. A sandbox runs on the node of
its actor: `docker` needs an engine on every node.
"""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from autoprune.errors import UsageError
from autoprune.evaluation.bench import Bench
from autoprune.executors.base import Job
from autoprune.executors.files import keep, statistics_root, target_folder
from autoprune.executors.pool import WorkerLost
from autoprune.executors.worker import Failure, TargetMissing, Worker, WorkerSpec, answered
from autoprune.models.silence import silence_transformers
from autoprune.runs.measurement import Measurement

logger = logging.getLogger(__name__)
FIND, OWN = "auto", "local"
"""In place of an address: the cluster that runs on this machine, or one that is started for this run."""
REACHED_WITHIN = 5.0
"""Seconds for a cluster to take a connection."""
PATIENCE = 30.0
"""Seconds after which a worker that still waits for room in the cluster is logged."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Disables usage reports, and the warning about workers without a GPU."""


def check_ray(address: str | None) -> None:
    """Raises UsageError when Ray is not installed, or when the cluster's address does not accept connections."""
    _ray()
    address = address or os.environ.get("RAY_ADDRESS") or FIND
    if address in (FIND, OWN):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UsageError(f"{address!r} is no address of a Ray cluster; give HOST:PORT (6379 as a rule), auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise UsageError(f"no Ray cluster can be reached at {address}: {error.strerror or error}") from None


def connect(address: str | None) -> None:
    """Join the cluster, or start one on this machine if none is named or running. Raises UsageError."""
    ray = _ray()
    try:
        with _own_signals():
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"at {address}" if address else "on this machine"
        raise UsageError(f"no Ray cluster can be used {where}: {str(error).splitlines()[0]}") from None


def disconnect() -> None:
    """Leave the cluster, which ends the actors, and the cluster if `connect` started it."""
    _ray().shutdown()


def room(cores: int, gpus: float) -> int:
    """How many workers with these cores and GPUs fit on the cluster's nodes if nothing else runs there."""
    nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    return sum(_fit(node.get("CPU", 0.0), node.get("GPU", 0.0), cores, gpus) for node in nodes)


def gpus() -> int:
    """The number of GPUs on the cluster's nodes."""
    return int(sum(node["Resources"].get("GPU", 0.0) for node in _ray().nodes() if node["Alive"]))


def _fit(node_cores: float, node_gpus: float, cores: int, gpus: float) -> int:
    by_cores = int(node_cores // cores)
    return min(by_cores, int(node_gpus / gpus)) if gpus else by_cores


class RayWorker(Worker):
    """The actor: a worker that can also store files that its node lacks."""

    def place(self) -> str:
        """Where the actor runs, as text."""
        return f"process {os.getpid()} on {socket.gethostname()}"

    def alive(self) -> None:
        """Returns if the actor is alive; Ray raises otherwise."""

    def lacks(self, spec: WorkerSpec, bundle: str) -> bool:
        """Whether this machine has no such directory of statistics."""
        return not self._folder(spec, bundle).exists()

    def keep_statistics(self, spec: WorkerSpec, bundle: str, names: list[str], *contents: Any) -> Failure | None:
        """Write a directory of statistics, unless another worker of this machine has done so."""
        return answered(lambda: keep(self._folder(spec, bundle), names, contents))

    def keep_target(self, spec: WorkerSpec, names: list[str], *contents: Any) -> Failure | None:
        """Write the target, unless another worker of this machine has done so."""
        return answered(lambda: keep(target_folder(spec.fingerprints["model"]), names, contents))

    def _folder(self, spec: WorkerSpec, bundle: str) -> Path:
        return statistics_root(spec.bundle, spec.digest) / bundle


Files = tuple[list[str], list[Any]]
"""Names, and references to contents in Ray's object store."""


class Store:
    """The coordinator's files in Ray's object store. Each is put there when the first node needs it.

    `compute_lock`: held while the target, which must be dense then, is written.
    """

    def __init__(self, bench: Bench, compute_lock: AbstractContextManager[Any]) -> None:
        self._bench = bench
        self._compute_lock = compute_lock
        self._lock = threading.Lock()
        self._stored: dict[str, Files] = {}

    def statistics(self, bundle: Path) -> Files:
        return self._once(bundle.name, lambda: _put_files(bundle))

    def target(self) -> Files:
        """The files of the target, as a directory that transformers can load."""

        def put() -> Files:
            target: Any = self._bench.target
            with tempfile.TemporaryDirectory() as folder, silence_transformers(), self._compute_lock:
                target.model.save_pretrained(folder)
                target.tokenizer.save_pretrained(folder)
                return _put_files(Path(folder))

        return self._once("target", put)

    def _once(self, name: str, put: Callable[[], Files]) -> Files:
        with self._lock:
            if name not in self._stored:
                self._stored[name] = put()
            return self._stored[name]


def _put_files(folder: Path) -> Files:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [file.name for file in files], [_ray().put(np.fromfile(file, np.uint8)) for file in files]


class RayHandle:
    """The coordinator's end of one actor; see pool.WorkerHandle."""

    def __init__(self, place: int, spec: WorkerSpec, store: Store, bundle: Path, gpus: float) -> None:
        self._ray = _ray()
        self._spec = spec
        self._store = store
        self._bundle = bundle
        self._provided: set[str] = set()
        self.name = f"worker {place + 1}"
        actor = self._ray.remote(RayWorker).options(
            num_cpus=spec.threads, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._actor = actor.remote()

    def open(self) -> Failure | None:
        place = self._actor.place.remote()
        if not self._ray.wait([place], timeout=PATIENCE)[0]:
            logger.info(f"{self.name} still waits for room in the cluster")
        self.name = f"{self.name} ({self._got(place)})"
        failure = self.provide(self._bundle) or self._ask("open", self._spec)
        if isinstance(failure, TargetMissing):
            logger.info(f"sending the target to {self.name}")
            names, contents = self._store.target()
            failure = self._ask("keep_target", self._spec, names, *contents) or self._ask("open", self._spec)
        return failure

    def check(self) -> None:
        self._ask("alive")

    def provide(self, bundle: Path) -> Failure | None:
        if bundle.name in self._provided:
            return None
        failure: Failure | None = None
        if self._ask("lacks", self._spec, bundle.name):
            names, contents = self._store.statistics(bundle)
            failure = self._ask("keep_statistics", self._spec, bundle.name, names, *contents)
        self._provided.add(bundle.name)
        return failure

    def measure(self, job: Job) -> Measurement | Failure:
        return self._ask("measure", job)

    def verify(self) -> Failure | None:
        return self._ask("verify")

    def close(self) -> None:
        self._ray.kill(self._actor)

    def _ask(self, method: str, *arguments: Any) -> Any:
        return self._got(getattr(self._actor, method).remote(*arguments))

    def _got(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self.close()  # after an unexpected exception the actor is still alive
            raise WorkerLost(_reason(error)) from None


def _reason(error: Exception) -> str:
    """The first line of the error's cause, since Ray's own messages are long."""
    cause = getattr(error, "cause", None) or error
    line = next((line.strip() for line in str(cause).splitlines() if line.strip()), "")
    return f"{type(cause).__name__}: {line[:200]}"


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restores the handler of SIGTERM, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _ray() -> Any:
    """The package, imported when it is first needed. Raises UsageError when it is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UsageError("executor ray needs Ray, which is not installed: pip install 'autoprune[ray]'") from None
    return ray
