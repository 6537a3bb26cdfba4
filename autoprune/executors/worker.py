"""What runs in a worker: a target, its statistics and a sandbox, opened once, and jobs one after the other.

Its log lines go nowhere: the coordinator has logged all this for itself.

A failure is an answer as well: it is returned, not raised, so that it arrives as it was. Whatever else is raised here
ends the worker, and the coordinator notices.
"""

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
    """All that makes a worker measure as its coordinator would. It can be pickled.

    `config`: with device, dtype and sandbox as the coordinator has them. `splits`: the texts' windows. `fingerprints`:
    of the coordinator's bench. `bundle`: the name of the directory of its dense statistics; `digest`: of what is in it.
    `threads`: of torch, and of the sandbox unless its settings say otherwise.
    """

    config: Config
    splits: dict[Split, Windows]
    fingerprints: dict[str, Any]
    bundle: str
    digest: str
    threads: int

    @classmethod
    def of(cls, config: Config, bench: Bench, engine: str, threads: int) -> "WorkerSpec":
        """From what the coordinator has opened; `engine`: which sandbox it found."""
        sandbox = config.sandbox.model_copy(update={"engine": engine, "threads": config.sandbox.threads or threads})
        prints, bundle = bench.fingerprints(), bench.bundle()
        found = {"device": prints["device"], "dtype": prints["dtype"], "sandbox": sandbox}
        splits = {split: bench.windows(split) for split in SPLITS}
        return cls(config.model_copy(update=found), splits, prints, bundle.name, digest_of(bundle), threads)


class Worker:
    """Answers a coordinator, one question at a time."""

    def __init__(self) -> None:
        self._here: InProcessExecutor | None = None

    def open(self, opening: WorkerSpec) -> Failure | None:
        """Load the target and find the statistics. A TargetMissing, or another UsageError if they are not the same."""
        return answered(lambda: self._open(opening))

    def measure(self, job: Job) -> Measurement | Failure:
        """As base.Executor has it."""
        return answered(lambda: self._opened.measure(job))

    def verify(self) -> Failure | None:
        """As base.Executor has it."""
        return answered(lambda: self._opened.verify())

    @property
    def _opened(self) -> InProcessExecutor:
        if self._here is None:
            raise AutoPruneError("a worker was asked before it was opened")
        return self._here

    def _open(self, opening: WorkerSpec) -> None:
        torch.set_num_threads(opening.threads)
        config, root = opening.config, statistics_root(opening.bundle, opening.digest)
        target = _load(opening)
        statistics = StatisticsCache(target, opening.splits["calibration"], root)
        bench = Bench(target, opening.splits, config, statistics)
        mine = bench.fingerprints() | {"statistics": bench.bundle().name}
        theirs = opening.fingerprints | {"statistics": opening.bundle}
        if mine != theirs:
            differing = ", ".join(f"{key} {mine[key]}, not {theirs[key]}" for key in theirs if mine[key] != theirs[key])
            raise UsageError(f"a worker on {socket.gethostname()} would measure something else: {differing}")
        self._here = InProcessExecutor(bench, make_sandbox(config.sandbox))


def _load(opening: WorkerSpec) -> Target:
    """The target with the coordinator's weights: as it was sent to this machine, else as the settings name it."""
    config, wanted, host = opening.config, opening.fingerprints["model"], socket.gethostname()
    sent = target_folder(wanted)
    try:
        target = load_target(str(sent) if sent.exists() else config.model, config.device, config.dtype)
    except UsageError as error:
        raise TargetMissing(f"a worker on {host} has no target: {error}") from None
    if target.fingerprint != wanted:
        raise TargetMissing(f"{config.model} on {host} is another model ({target.fingerprint}, not {wanted})")
    return target


def answered(call: Callable[[], Answer]) -> Answer | Failure:
    """What a call returns, or the failure that it raises."""
    try:
        return call()
    except (CandidateFailure, AutoPruneError) as failure:
        return failure
