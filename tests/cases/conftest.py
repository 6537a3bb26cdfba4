"""What the programs of `public/` run in, and the command that they call: forks of processes that are warm.

Each program imports torch and transformers, and calls the command up to eleven times, which imports them again: ten
seconds of every call, and most of them alone. So a program is forked from one process, and what it calls `autoprune` is
a small program that has its command forked from another.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Client, Listener
from pathlib import Path

import pytest

from tests.cases.forked import PRELOADED, run_program
from tests.warm import WarmProgram

READ_AT_IMPORT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""As public/_lib.py sets them."""
CALLED = f"""#!{sys.executable} -IS
import os, sys
from multiprocessing.connection import Client
with Client(sys.argv[0] + ".socket") as server:
    server.send((sys.argv[1:], dict(os.environ), os.getcwd()))
    code, out, err = server.recv()
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
PATIENCE = 1200.0

Autoprune = Callable[..., subprocess.CompletedProcess[str]]
Program = Callable[[Path], tuple[int, str, str]]


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmProgram]:
    program = WarmProgram({**os.environ, **READ_AT_IMPORT})
    yield program
    program.close()


@pytest.fixture
def autoprune(warm: WarmProgram, tmp_path: Path) -> Autoprune:
    """Run `autoprune WORDS` and wait for its end."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return warm.run(list(words), {**os.environ, **READ_AT_IMPORT}, tmp_path, PATIENCE)

    return run


@pytest.fixture(scope="module")
def short_path() -> Iterator[Path]:
    """A folder with a short name: the programs cut what they print, and the messages in it name files."""
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def called(warm: WarmProgram, short_path: Path) -> Iterator[Path]:
    """The small program that is called `autoprune`."""
    program = short_path / "autoprune"
    program.write_text(CALLED, encoding="utf-8")
    program.chmod(0o755)
    address = f"{program}.socket"
    with Listener(address) as listener:

        def answer() -> None:
            while True:
                with listener.accept() as caller:
                    question = caller.recv()
                    if question is None:
                        return
                    caller.send(_called(warm, *question))

        thread = threading.Thread(target=answer)
        thread.start()
        yield program
        with Client(address) as last:
            last.send(None)
        thread.join()


def _called(warm: WarmProgram, words: list[str], environment: dict[str, str], folder: str) -> tuple[int, str, str]:
    if warm.fits(environment):
        done = warm.run(words, environment, Path(folder), PATIENCE)
    else:
        command = [sys.executable, "-m", "autoprune", *words]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def forks() -> Iterator[None]:
    """The process that programs are forked from is there, and has read what they would have read."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in READ_AT_IMPORT.items():
            patch.setenv(name, value)
        get_context("forkserver").set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()
    yield
    with contextlib.suppress(AttributeError):  # it has no public end but that of this process
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture
def program(forks: None, called: Path, short_path: Path, tmp_path: Path) -> Program:
    """Run a program: its exit code, and what it printed."""

    def run(file: Path) -> tuple[int, str, str]:
        environment = {**os.environ, "TMPDIR": str(short_path), "AUTOPRUNE_PROGRAM": str(called)}
        environment.pop("AUTOPRUNE_CACHE", None)
        out, err = tmp_path / "out", tmp_path / "err"
        fork = get_context("forkserver").Process(target=run_program, args=(file, environment, out, err))
        fork.start()
        fork.join(PATIENCE)
        if fork.is_alive():
            fork.kill()
        fork.join()
        return int(fork.exitcode or 0), out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")

    return run
