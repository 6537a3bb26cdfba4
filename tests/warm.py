"""The program, forked from a process that has imported what it imports.

To import torch and a model of transformers takes seconds, and a test would pay them for every command that it starts.
The server imports them once; each command then runs in a fork of it, with its own environment, folder and streams, and
ends for itself. What a command does at its own start is tested with fresh processes (test_start.py, test_streams.py).
"""

import fcntl
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import IO

import pytest

from tests.remembered import make_in_advance, remember
from tests.warm_zygotes import fork_zygotes, server

READ_AT_IMPORT = ("HF_", "LANG", "LC_", "MKL_", "OMP_", "PYTHON", "RAYON_", "TOKENIZERS_", "TORCH_", "TRANSFORMERS_")
"""How the names of variables begin that libraries read when they are imported: another value needs a new process."""


class WarmProcess:
    """A command that was started: the part of subprocess.Popen that tests use."""

    def __init__(self, pid: int, reap: Callable[[int], int]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._reap = reap
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, negative of a signal; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], seconds)[0]:
            self.returncode = self._reap(self.pid)
            os.close(self._end)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._end, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class WarmProgram:
    """Starts commands as forks. `tokenizer`: the directory of one that the built-in text is tokenised with, once for
    all of them."""

    def __init__(self, environment: dict[str, str], tokenizer: Path | None = None) -> None:
        self._read = _read_at_import(environment)
        self._lock = threading.Lock()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        before = {name: os.environ.get(name) for name in self._read}
        os.environ |= self._read
        try:
            self._process = context.Process(target=_serve, args=(theirs, server.address(), tokenizer))
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        theirs.close()

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether a process with this environment would have imported the same."""
        return _read_at_import(environment) == self._read

    def fitted(self, environment: dict[str, str]) -> dict[str, str]:
        """The environment with the values that this process has imported its libraries with."""
        return {name: value for name, value in environment.items() if not name.startswith(READ_AT_IMPORT)} | self._read

    def start(
        self,
        words: list[str],
        environment: dict[str, str],
        folder: Path,
        streams: Sequence[int],
        terminal: bool = False,
    ) -> WarmProcess:
        """Start `autoprune WORDS`. `streams`: descriptors of its input, output and errors; `terminal`: the first is
        that of a terminal which it shall control."""
        with self._lock:
            self._pipe.send((words, environment, str(folder), terminal))
            for stream in streams:
                send_handle(self._pipe, stream, self._process.pid)
            return WarmProcess(self._pipe.recv(), self._reaped)

    def run(
        self, words: list[str], environment: dict[str, str], folder: Path, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """`autoprune WORDS`, as subprocess.run has it: with what it said, and its exit code. Raises TimeoutExpired."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull, "rb") as nothing:
            process = self.start(words, environment, folder, [nothing.fileno(), out.fileno(), err.fileno()])
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise subprocess.TimeoutExpired(words, seconds, _text(out), _text(err)) from None
            return subprocess.CompletedProcess(words, process.wait(), _text(out), _text(err))

    def _reaped(self, pid: int) -> int:
        with self._lock:
            self._pipe.send(pid)
            return int(self._pipe.recv())

    def close(self) -> None:
        """End the server, which has nothing to clean up."""
        self._process.kill()
        self._process.join()


def _read_at_import(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT)}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(pipe: Connection, zygotes: str, tokenizer: Path | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import autoprune.cli
    import autoprune.measuring.opening
    import autoprune.search.session  # noqa: F401

    fork_zygotes(zygotes)
    remember(pytest.MonkeyPatch())
    make_in_advance(tokenizer)
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        if isinstance(asked, int):
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]))
            continue
        streams = [recv_handle(pipe) for _ in range(3)]
        child = os.fork()
        if child == 0:
            _become(*asked, streams)
        for stream in streams:
            os.close(stream)
        pipe.send(child)


def _become(words: list[str], environment: dict[str, str], folder: str, terminal: bool, streams: list[int]) -> None:
    """In the fork: what a new process would be, then the command, then the end."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        if terminal:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        sys.argv = ["autoprune", *words]
        from autoprune.cli import main

        code = _exit_code(main)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _exit_code(main: object) -> int:
    """What the interpreter would end with."""
    import atexit
    import threading

    try:
        main()  # type: ignore[operator]
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code
