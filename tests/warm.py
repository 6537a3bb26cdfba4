"""The program, forked from a process that has imported what it imports.

To import torch and a model of transformers takes seconds, and a test would pay them for every command that it starts.
The server imports them once; each command then runs in a fork of it, with its own environment, folder and streams, and
ends for itself. What a command does at its own start is tested with fresh processes (test_start.py, test_streams.py).
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.remembered import make_in_advance, remember
from tests.warm_zygotes import fork_zygotes, server

READ_AT_IMPORT = ("HF_", "LANG", "LC_", "MKL_", "OMP_", "PYTHON", "RAYON_", "TOKENIZERS_", "TORCH_", "TRANSFORMERS_")
"""How the names of variables begin that libraries read when they are imported: another value needs a new process."""


class WarmProgram:
    """Starts commands as forks. One at a time. `tokenizer`: the directory of one that the built-in text is tokenised
    with, once for all of them."""

    def __init__(self, environment: dict[str, str], tokenizer: Path | None = None) -> None:
        self._read = _read_at_import(environment)
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

    def run(
        self, words: list[str], environment: dict[str, str], folder: Path, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """`autoprune WORDS`, as subprocess.run has it: with what it said, and its exit code. Raises TimeoutExpired."""
        with tempfile.TemporaryDirectory() as home:
            said = [Path(home, name) for name in ("out", "err")]
            self._pipe.send((words, environment, str(folder), [str(each) for each in said], seconds))
            code = self._pipe.recv()
            out, err = (each.read_text(encoding="utf-8") for each in said)
        if code is None:
            raise subprocess.TimeoutExpired(words, seconds, out, err)
        return subprocess.CompletedProcess(words, code, out, err)

    def close(self) -> None:
        """End the server, which has nothing to clean up."""
        self._process.kill()
        self._process.join()


def _read_at_import(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT)}


def _serve(pipe: Connection, zygotes: str, tokenizer: Path | None) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import autoprune.measuring.opening
    import autoprune.search.session  # noqa: F401

    fork_zygotes(zygotes)
    remember(pytest.MonkeyPatch())
    make_in_advance(tokenizer)
    while True:
        try:
            words, environment, folder, said, seconds = pipe.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            _become(words, environment, folder, said)
        pipe.send(_waited(child, seconds))


def _waited(child: int, seconds: float) -> int | None:
    """The exit code, negative of a signal; None of one that was killed because its time was over."""
    process = os.pidfd_open(child)
    try:
        multiprocessing.connection.wait([process], seconds)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None
    finally:
        os.close(process)


def _become(words: list[str], environment: dict[str, str], folder: str, said: list[str]) -> None:
    """In the fork: what a new process would be, then the command, then the end."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for number, name in enumerate(said, 1):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
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
