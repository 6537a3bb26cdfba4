"""Candidates in jailed processes (jail.py) on this machine, without a container engine. Linux only.

Not protected: the worker has the user's own id, so bugs in the kernel's Landlock or seccomp code are a way out; the
candidate shares the processor and its caches, and can learn whether a path exists. `docker` adds namespaces, another
user id and a memory cgroup. docs/security.md has the complete list.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import autoprune
from autoprune.candidates.screen import refuse
from autoprune.config_sections import SandboxSettings
from autoprune.cores import sandbox_threads
from autoprune.errors import SandboxMissing, SandboxUnavailable
from autoprune.pruning.layers import Session
from autoprune.sandbox import protocol
from autoprune.sandbox.channel import DEATHS
from autoprune.sandbox.inside import jail
from autoprune.sandbox.memory import Growth, figures
from autoprune.sandbox.parallel_session import ParallelSession
from autoprune.sandbox.protocol import readable, wait_until_ready
from autoprune.sandbox.score_buffer import Output
from autoprune.sandbox.session import WorkerSession, lengthened
from autoprune.sandbox.timings import TimeBudget

PROCESSES = 2
"""Processes that share a candidate's layers and threads, at most one per thread; each needs its own memory."""
_MAX_THREADS = 512
_DEATHS = {
    **DEATHS,
    signal.SIGKILL: ("memory", "the process was killed by the kernel, most likely for lack of memory"),
}


class Zygote:
    """The warm process and its control socket. Thread-safe."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        startup = Output(16 * 1024)
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-s",
                    "-P",
                    "-B",
                    "-m",
                    "autoprune.sandbox.inside.zygote",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                env=environment(threads, str(Path(autoprune.__file__).parent.parent)),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=startup.descriptor,
                stderr=startup.descriptor,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            wait_until_ready(self._control)
        except (EOFError, TimeoutError, ConnectionError, protocol.ProtocolError):
            self.close()
            last = startup.text().strip().splitlines()[-1:] or ["it said nothing"]
            raise SandboxUnavailable(f"the sandbox's process did not start: {last[0]}") from None
        finally:
            theirs.close()
            startup.close()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, channel: socket.socket) -> int:
        """Start a worker on its end of a channel; its process id. Raises SandboxUnavailable."""
        pid = self._ask({"do": "fork"}, (channel.fileno(),)).get("pid")
        if not isinstance(pid, int):
            raise SandboxUnavailable("the sandbox's process has ended")
        return pid

    def reap(self, pid: int) -> int:
        """The exit code of an ended worker (negative: the signal); -SIGKILL if the warm process has ended."""
        status = self._ask({"do": "reap", "pid": pid}).get("status")
        return status if isinstance(status, int) else -signal.SIGKILL

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, request: dict[str, Any], descriptors: tuple[int, ...] = ()) -> dict[str, Any]:
        with self._lock:
            try:
                socket.send_fds(self._control, [protocol.encode({"id": 0, **request})], descriptors)
                return protocol.read_message(self._control.recv)
            except (EOFError, OSError):
                return {}


class LocalWorker:
    """A fork of the warm process, alone with one candidate."""

    need_landlock = True

    def __init__(self, zygote: Zygote, memory: int) -> None:
        self._zygote = zygote
        self._memory = memory
        self._status: int | None = None
        self.channel, theirs = socket.socketpair()
        try:
            self.pid = zygote.fork(theirs)
        except SandboxUnavailable:
            self.channel.close()
            raise
        finally:
            theirs.close()
        self._process = os.pidfd_open(self.pid)  # not reaped yet, so the id is still valid
        self._shared = self._use()[0]
        self._growth = Growth(self.pid)

    def overuse(self) -> tuple[str, str] | None:
        """Check memory beyond its start, and threads. The process cannot have children."""
        memory, threads = self._use()
        if memory - self._shared > self._memory:
            return "memory", f"the process used more than {self._memory >> 20} MiB"
        if threads > _MAX_THREADS:
            return "forbidden", f"the process started more than {_MAX_THREADS} threads"
        return None

    def ended(self) -> tuple[str, str]:
        """From the exit status, which may take a moment after the channel is closed."""
        status = self._reap(3.0)
        if status is None:
            return "protocol", "the process closed its channel"
        if status < 0:
            return _DEATHS.get(-status, ("crashed", f"the process died of signal {-status}"))
        return "crashed", f"the process ended with exit code {status} before it answered"

    def memory(self) -> int | None:
        return self._growth.most()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.channel.close()
        if self._process >= 0:
            self._signal(signal.SIGKILL)
            self._reap(10.0)
            os.close(self._process)
            self._process = -1

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def _reap(self, seconds: float) -> int | None:
        if self._status is None and readable(self._process, seconds):
            self._status = self._zygote.reap(self.pid)
        return self._status

    def _use(self) -> tuple[int, int]:
        """Bytes of anonymous and shared memory (without the mapped bundle), and the number of threads."""
        now = figures(self.pid)
        return sum(now.get(key, 0) for key in ("RssAnon", "RssShmem", "VmSwap")), now.get("Threads", 0)


class LocalSandbox:
    """The sandbox `local`: fresh jailed processes per candidate, forked from a warm process."""

    name = "local"

    def __init__(self, settings: SandboxSettings) -> None:
        lacks = jail.missing()
        if lacks:
            raise SandboxMissing(
                f"this kernel lacks {' and '.join(lacks)}: the local sandbox cannot shut candidates in; use Docker"
            )
        if settings.gpu:
            raise SandboxMissing("sandbox.gpu is set, but the local sandbox computes on the CPU; use Docker")
        self._settings = settings
        threads = sandbox_threads()
        self._processes = min(PROCESSES, threads)
        self._threads = max(1, threads // self._processes)
        self._lock = threading.Lock()
        # The kernel kills the warm process with the thread that started it, so this thread is kept.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-start")
        self._zygote = self._starter.submit(Zygote, self._threads)

    @contextlib.contextmanager
    def open(self, source: str, bundle: Path, times: float = 1.0) -> Iterator[Session]:
        refuse(source)
        settings = lengthened(self._settings, times)
        allowance = TimeBudget(settings.seconds)
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(self._worker()) for _ in range(self._processes)]
            members = [stack.enter_context(_session(worker, source, bundle, settings, allowance)) for worker in workers]
            whole = ParallelSession(members, lambda: self._fresh(source, bundle))
            yield stack.enter_context(whole.telling())

    @contextlib.contextmanager
    def _fresh(self, source: str, bundle: Path) -> Iterator[WorkerSession]:
        settings = self._settings
        with (
            self._worker() as worker,
            _session(worker, source, bundle, settings, TimeBudget(settings.seconds)) as alone,
        ):
            yield alone

    def _worker(self) -> contextlib.closing[LocalWorker]:
        return contextlib.closing(LocalWorker(self._warm(), self._settings.memory_mb << 20))

    def wait_until_warm(self) -> None:
        self._warm()

    def close(self) -> None:
        with self._lock:
            if not self._zygote.cancel() and self._zygote.exception() is None:
                self._zygote.result().close()
            self._starter.shutdown()

    def _warm(self) -> Zygote:
        with self._lock:
            if not self._zygote.result().is_alive():
                self._zygote.result().close()
                self._zygote = self._starter.submit(Zygote, self._threads)
            return self._zygote.result()


def _session(
    worker: LocalWorker, source: str, bundle: Path, settings: SandboxSettings, allowance: TimeBudget
) -> contextlib.closing[WorkerSession]:
    wait_until_ready(worker.channel)
    return contextlib.closing(WorkerSession(worker, source, bundle, settings, allowance))


def environment(threads: int, package_path: str) -> dict[str, str]:
    """The complete environment of a worker, without the user's variables."""
    return {
        "PYTHONPATH": package_path,
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": autoprune.SPIN,
        # NumPy's BLAS would start threads on import, before the jail.
        "OPENBLAS_NUM_THREADS": "1",
        # Memory of freed tensors is reused instead of being returned and zeroed page by page. Larger ones are mapped
        # one by one: in a heap, each small result that is kept between them would make the next ones extend it.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
        "MALLOC_ARENA_MAX": "2",
    }
