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
    """The coordinator's end of one process (serve.py); see pool.WorkerHandle. `gpu`: its visible GPU; None: all.

    The kernel ends a worker with the thread that started it: the single thread of `starter`, which must outlive it.
    """

    def __init__(self, place: int, spec: WorkerSpec, starter: ThreadPoolExecutor, gpu: str | None = None) -> None:
        self._spec = spec
        self._starter = starter
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._channel, theirs = multiprocessing.Pipe()
        command = [sys.executable, "-m", "autoprune.executors.serve", str(theirs.fileno()), str(os.getpid())]
        self._process: subprocess.Popen[bytes] = starter.submit(
            subprocess.Popen,
            command,
            env=environment(spec.threads, gpu),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl+C is for the coordinator, with which this ends
        ).result()
        theirs.close()
        self.name = f"worker {place + 1} (process {self._process.pid})"

    def open(self) -> Failure | None:
        return self._ask("open", self._spec)

    def check(self) -> None:
        if self._process.poll() is not None:
            raise WorkerLost(self._end())

    def provide(self, bundle: Path) -> None:
        """Does nothing: the worker reads the coordinator's files."""

    def measure(self, job: Job) -> Measurement | Failure:
        return self._ask("measure", job)

    def verify(self) -> Failure | None:
        return self._ask("verify")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            # Pickled here: the channel's own `send` would pass tensors as open files.
            self._channel.send_bytes(pickle.dumps((method, arguments)))
            return pickle.loads(self._channel.recv_bytes())
        except (EOFError, OSError):
            raise WorkerLost(self._end()) from None

    def _end(self) -> str:
        """How the process ended, with its last line of output if it exited by itself."""
        self._process.kill()  # in case it only closed the channel
        code = self._process.wait()
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines() or ["no output"]
        return f"exit code {code}: {lines[-1][:200]}"


def environment(threads: int, gpu: str | None) -> dict[str, str]:
    """The environment of a worker: the coordinator's, with its number of threads and its visible GPU."""
    paths = [str(Path(autoprune.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **own, **({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})}


def gpu_of(place: int, share: float, visible: Sequence[str]) -> str:
    """The GPU of the worker at a place; `share`: GPUs per worker, so with 0.5 two workers share one."""
    return visible[int(place * share)]
