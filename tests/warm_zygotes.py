"""Warm processes of the sandbox `local`, forked from one that has imported torch.

A new one takes two seconds to import torch, and every search, every command with a sandbox and every life of a nursery
starts its own. In the tests they are forks of one process, whose environment, flags and modules they have. Each ends
with the socket of the process that asked for it, so one that is killed leaves nothing to the next.
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

import pytest

from autoprune.errors import SandboxUnavailable
from autoprune.sandbox import local
from autoprune.sandbox.protocol import readable, wait_until_ready

THREADS = 1
"""Threads of these processes, as everywhere in the tests (OMP_NUM_THREADS). With others they are started anew."""
SERVER = Path(__file__).with_name("zygote_server.py")
NEW = local.Zygote
"""What the package starts."""


class ZygoteServer:
    """The process that forks, started when it is first needed."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._starter = ThreadPoolExecutor(1)  # the kernel ends the process with the thread that started it
        self._process: subprocess.Popen[str] | None = None
        self._address = f"autoprune-tests-{self._owner}"

    def address(self) -> str:
        """The abstract address at which this process, and those that it starts, find it."""
        with self._lock:
            ours = os.getpid() == self._owner
            if ours and (self._process is None or self._process.poll() is not None):
                self._process = self._starter.submit(self._start).result()
        return self._address

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-B", str(SERVER), self._address, str(self._owner)],
            env=local.environment(THREADS, str(SERVER.parent.parent)),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._starter.shutdown()


class ForkedZygote(local.Zygote):
    """The warm process of one sandbox, a fork of the server at this address."""

    def __init__(self, address: str) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX) as asking:
            asking.connect(f"\0{address}")
            socket.send_fds(asking, [b"1"], [theirs.fileno()])
            self._end = os.pidfd_open(int(asking.recv(16)))
        try:
            wait_until_ready(self._control)
        except (EOFError, ConnectionError) as error:
            self.close()
            raise SandboxUnavailable("a fork of the tests' warm process did not start") from error

    def is_alive(self) -> bool:
        return self._end >= 0 and not readable(self._end, 0.0)

    def close(self) -> None:
        self._control.close()
        if self._end >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._end, signal.SIGKILL)
            readable(self._end, 10.0)
            os.close(self._end)
            self._end = -1


def fork_zygotes(address: str | None = None) -> None:
    """From now on the sandboxes of this process, and of its forks, fork their warm processes: from the server at this
    address, or from this process' own."""

    def zygote(threads: int) -> local.Zygote:
        return ForkedZygote(address or server.address()) if threads == THREADS else NEW(threads)

    local.Zygote = zygote  # type: ignore[assignment,misc]


server = ZygoteServer()


@pytest.fixture(scope="session", autouse=True)
def forked_zygotes() -> Iterator[None]:
    fork_zygotes()
    yield
    local.Zygote = NEW  # type: ignore[misc]
    server.close()


@pytest.fixture
def zygotes() -> type[local.Zygote]:
    """What starts the warm processes of sandboxes."""
    return local.Zygote
