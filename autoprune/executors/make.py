"""Makes the executor that the settings ask for."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from autoprune.config import Config
from autoprune.config_sections import ExecutorSettings
from autoprune.cores import asked_threads
from autoprune.errors import UsageError
from autoprune.evaluation.bench import Bench
from autoprune.executors.base import Executor
from autoprune.executors.pool import Pool

logger = logging.getLogger(__name__)
ComputeLock = AbstractContextManager[Any]


@contextmanager
def joined(settings: ExecutorSettings) -> Iterator[None]:
    """Within this context, this process has joined the Ray cluster of the settings, if they ask for one.

    To be entered before anything is loaded. Raises UsageError if there is no cluster, or no Ray.
    """
    if settings.kind != "ray":
        yield
        return
    from autoprune.executors import ray

    ray.check_ray(settings.address)
    ray.connect(settings.address)
    try:
        yield
    finally:
        ray.disconnect()


def make_executor(config: Config, bench: Bench, engine: str, lock: ComputeLock) -> Executor | None:
    """The executor of the settings, on a bench; None if candidates are measured in this process. See `joined`.

    `engine`: the coordinator's sandbox, which the workers use as well. `lock`: held while the bench is in use. Logs its
    choice. Raises UsageError for an executor that is not available.
    """
    settings = config.executor
    if settings.kind == "here":
        return None
    with lock:
        bench.bundle()  # the workers start with these statistics
    make = _processes if settings.kind == "processes" else _on_ray
    pool = make(config, bench, engine, lock)
    size = config.search.generation_size
    if pool.workers > size:
        idle = f"a generation has {size} candidates, so that {pool.workers - size} of {pool.workers} workers are idle"
        logger.info(f"{idle}; search.generation_size={pool.workers} would keep all of them busy")
    return pool


def _processes(config: Config, bench: Bench, engine: str, lock: ComputeLock) -> Pool:
    from autoprune.executors.processes import ProcessHandle, gpu_of
    from autoprune.executors.worker import WorkerSpec

    settings, size = config.executor, config.search.generation_size
    cpus = len(os.sched_getaffinity(0))
    visible = _visible_gpus() if bench.target.device.type == "cuda" else []
    workers = settings.workers or max(1, min(size, len(visible) or cpus // (asked_threads() or 1)))
    gpus = share_of_gpus(workers, len(visible)) if visible else 0.0
    cores = asked_threads() or max(1, cpus // workers)
    spec = WorkerSpec.of(config, bench, engine, cores)
    starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="workers-fork")

    def start(place: int) -> ProcessHandle:
        return ProcessHandle(place, spec, starter, gpu_of(place, gpus, visible) if gpus else None)

    logger.info(f"executor: {workers} processes on this machine, {_resources(cores, gpus)} each")
    return Pool(start, workers, {"threads": cores}, _statistics(bench, lock))


def _on_ray(config: Config, bench: Bench, engine: str, lock: ComputeLock) -> Pool:
    from autoprune.executors import ray
    from autoprune.executors.worker import WorkerSpec

    settings = config.executor
    cores = asked_threads() or 1
    gpus = share_of_gpus(settings.workers or 1, ray.gpus()) if bench.target.device.type == "cuda" else 0.0
    capacity = ray.room(cores, gpus)
    workers = settings.workers or min(config.search.generation_size, capacity)
    if not workers:
        raise UsageError(f"no node of the Ray cluster has {_resources(cores, gpus)} for a worker")
    spec, store, bundle = WorkerSpec.of(config, bench, engine, cores), ray.Store(bench, lock), bench.bundle()

    def start(place: int) -> ray.RayHandle:
        return ray.RayHandle(place, spec, store, bundle, gpus)

    limit = f"which has room for {capacity}" if capacity < workers else f"of {capacity} that have room"
    logger.info(f"executor: {workers} workers on a Ray cluster, {limit}, {_resources(cores, gpus)} each")
    conditions = {"threads": cores, "cluster": True}
    return Pool(start, workers, conditions, _statistics(bench, lock))


def share_of_gpus(workers: int, gpus: int) -> float:
    """GPUs of a worker: one, or an equal share of one where there are more workers than GPUs."""
    return 1.0 / max(1, math.ceil(workers / max(1, gpus)))


def _statistics(bench: Bench, lock: ComputeLock) -> Callable[[tuple[str, ...]], Path]:
    def collected(fields: tuple[str, ...]) -> Path:
        with lock:
            return bench.bundle(fields)

    return collected


def _visible_gpus() -> list[str]:
    """The names that CUDA_VISIBLE_DEVICES uses."""
    import torch

    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    return names.split(",") if names else [str(number) for number in range(torch.cuda.device_count())]


def _resources(cores: int, gpus: float) -> str:
    return f"{cores} core{'s' * (cores > 1)}" + (f" and {gpus:g} GPU{'s' * (gpus != 1)}" if gpus else "")
