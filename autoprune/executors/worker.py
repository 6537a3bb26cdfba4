"""The worker: opens a target, its statistics and a sandbox once, and then runs one job after the other.

Its log lines are discarded, since the coordinator logs the same. Failures are returned, not raised, so that they reach
the coordinator unchanged. Any other exception ends the worker, which the coordinator notices.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from autoprune.config import Config
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import SPLITS, Split, Windows
from autoprune.executors.base import Job
from autoprune.executors.files import digest_of, statistics_root, target_folder
from autoprune.executors.in_process import InProcessExecutor
from autoprune.models.target import Target, load_target
from autoprune.runs.measurement import Measurement
from autoprune.sandbox.choose_sandbox import make_sandbox

Answer = TypeVar("Answer")
Failure = CandidateFailure | AutoPruneError


class TargetMissing(UsageError):
    """This machine lacks the target, or has another one under its name."""


@dataclass(frozen=True)
class WorkerSpec:
    """Everything that makes a worker measure like its coordinator. Picklable.

    `config`: with the coordinator's device, dtype and sandbox. `splits`: the texts' windows. `fingerprints`: of the
    coordinator's bench. `bundle`: the directory name of its dense statistics; `digest`: of their content. `threads`: of
    torch and of the sandbox.
    """

    config: Config
    splits: dict[Split, Windows]
    fingerprints: dict[str, Any]
    bundle: str
    digest: str
    threads: int

    @classmethod
    def of(cls, config: Config, bench: Bench, engine: str, threads: int) -> "WorkerSpec":
        """The spec for the coordinator's bench and settings; `engine`: its sandbox."""
        sandbox = config.sandbox.model_copy(update={"engine": engine})
        prints, bundle = bench.fingerprints(), bench.bundle()
        resolved = {"device": prints["device"], "dtype": prints["dtype"], "sandbox": sandbox}
        splits = {split: bench.windows(split) for split in SPLITS}
        return cls(config.model_copy(update=resolved), splits, prints, bundle.name, digest_of(bundle), threads)


class Worker:
    """Handles the coordinator's requests, one at a time."""

    def __init__(self) -> None:
        self._executor: InProcessExecutor | None = None

    def open(self, spec: WorkerSpec) -> Failure | None:
        """Load the target and the statistics. Returns TargetMissing, or UsageError if they differ from the spec."""
        return answered(lambda: self._open(spec))

    def measure(self, job: Job) -> Measurement | Failure:
        return answered(lambda: self._opened.measure(job))

    def verify(self) -> Failure | None:
        return answered(lambda: self._opened.verify())

    @property
    def _opened(self) -> InProcessExecutor:
        if self._executor is None:
            raise AutoPruneError("a worker was asked before it was opened")
        return self._executor

    def _open(self, spec: WorkerSpec) -> None:
        torch.set_num_threads(spec.threads)
        os.environ["OMP_NUM_THREADS"] = str(spec.threads)  # which the sandbox reads
        config, root = spec.config, statistics_root(spec.bundle, spec.digest)
        target = _load(spec)
        statistics = StatisticsCache(target, spec.splits["calibration"], root)
        bench = Bench(target, spec.splits, config, statistics)
        mine = bench.fingerprints() | {"statistics": bench.bundle().name}
        theirs = spec.fingerprints | {"statistics": spec.bundle}
        if mine != theirs:
            differing = ", ".join(f"{key} {mine[key]}, not {theirs[key]}" for key in theirs if mine[key] != theirs[key])
            raise UsageError(f"a worker on {socket.gethostname()} would measure something else: {differing}")
        self._executor = InProcessExecutor(bench, make_sandbox(config.sandbox))


def _load(spec: WorkerSpec) -> Target:
    """The target with the coordinator's weights: the one that was sent to this machine, else that of the settings."""
    config, fingerprint, host = spec.config, spec.fingerprints["model"], socket.gethostname()
    sent = target_folder(fingerprint)
    try:
        target = load_target(str(sent) if sent.exists() else config.model, config.device, config.dtype)
    except UsageError as error:
        raise TargetMissing(f"a worker on {host} has no target: {error}") from None
    if target.fingerprint != fingerprint:
        raise TargetMissing(f"{config.model} on {host} is another model ({target.fingerprint}, not {fingerprint})")
    return target


def answered(call: Callable[[], Answer]) -> Answer | Failure:
    """The result of a call, or the failure that it raises."""
    try:
        return call()
    except (CandidateFailure, AutoPruneError) as failure:
        return failure
