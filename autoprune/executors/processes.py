"""Worker processes on the coordinator's machine, with a bench and a sandbox each."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import autoprune
from autoprune.executors.base import Job
from autoprune.executors.pool import WorkerLost
from autoprune.executors.worker import Failure, WorkerSpec
from autoprune.runs.measurement import Measurement


class ProcessHandle:
    """The coordinator's end of one process (serve.py); see pool.WorkerHandle. `gpu`: the one that it sees; None: all.

    The kernel ends a worker with the thread that started it: that is the one thread of `starter`, which lives as long
    as this does.
    """

    def __init__(self, place: int, opening: WorkerSpec, starter: ThreadPoolExecutor, gpu: str | None = None) -> None:
        self._opening = opening
        self._starter = starter
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._channel, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-m", "autoprune.executors.serve", str(theirs.fileno()), str(os.getpid())]
        self._process: subprocess.Popen[bytes] = starter.submit(
            subprocess.Popen,
            command,
            env=environment(opening.threads, gpu),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl+C is for the coordinator, with which this ends
        ).result()
        theirs.close()
        self.name = f"worker {place + 1} (process {self._process.pid})"

    def open(self) -> Failure | None:
        """See pool.WorkerHandle."""
        answer: Failure | None = self._ask("open", self._opening)
        return answer

    def check(self) -> None:
        """See pool.WorkerHandle."""
        if self._process.poll() is not None:
            raise WorkerLost(self._end())

    def provide(self, bundle: Path) -> None:
        """Nothing: it reads the coordinator's own files."""

    def measure(self, job: Job) -> Measurement | Failure:
        """See pool.WorkerHandle."""
        answer: Measurement | Failure = self._ask("measure", job)
        return answer

    def verify(self) -> Failure | None:
        """See pool.WorkerHandle."""
        answer: Failure | None = self._ask("verify")
        return answer

    def close(self) -> None:
        """See pool.WorkerHandle."""
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            # By pickle: the channel's own `send` would pass tensors as open files.
            self._channel.send_bytes(pickle.dumps((method, arguments)))
            return pickle.loads(self._channel.recv_bytes())
        except (EOFError, OSError):
            raise WorkerLost(self._end()) from None

    def _end(self) -> str:
        """How the process ended, and the last that it said if it ended by itself."""
        self._process.kill()  # in case it only hung up
        code = self._process.wait()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        return f"exit code {code}: {lines[-1][:200]}"


def environment(threads: int, gpu: str | None) -> dict[str, str]:
    """The coordinator's own, with as many threads from the start, and with the GPU that it may use."""
    paths = [str(Path(autoprune.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **own, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})}


def gpu_of(place: int, share: float, visible: Sequence[str]) -> str:
    """The GPU of the worker of a place; `share`: GPUs of a worker, so that with 0.5 two use the same one."""
    return visible[int(place * share)]
