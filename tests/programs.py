"""The program as its user starts it: in a process of its own, on a terminal, or inside the process of the test."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.terminal import SIZE, Terminal
from tests.warm import WarmProcess, WarmProgram

Program = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., WarmProcess]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without keys, with a cache and a place for runs of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "AUTOPRUNE", "HF_"))}
    own = {"AUTOPRUNE_CACHE": str(tmp_path / "cache"), "AUTOPRUNE_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    return {**kept, **own, "AUTOPRUNE_DATA": os.environ["AUTOPRUNE_DATA"], "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, "-m", "autoprune"]


@pytest.fixture(scope="session")
def warm_programs() -> Iterator[list[WarmProgram]]:
    """The one server, started when it is first asked for something."""
    programs: list[WarmProgram] = []
    yield programs
    for program in programs:
        program.close()


@pytest.fixture
def warm(environment: dict[str, str], tiny_model: Path, warm_programs: list[WarmProgram]) -> WarmProgram:
    """The server that commands are forked from."""
    if not warm_programs:
        warm_programs.append(WarmProgram(environment, tiny_model))
    return warm_programs[0]


@pytest.fixture
def autoprune(environment: dict[str, str], command: list[str], tmp_path: Path, warm: WarmProgram) -> Program:
    """Run `autoprune WORDS` in an empty folder and wait for its end."""

    def run(*words: str, seconds: float = 600, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {**environment, **variables}
        if warm.fits(own):
            return warm.run(list(words), own, tmp_path, seconds)
        return subprocess.run(
            [*command, *words],
            env=own,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path, warm: WarmProgram) -> Iterator[Start]:
    """Start `autoprune WORDS` in the folder; what still runs at the end of the test is killed. `out` and `err`: files
    for what it says. Without `out`, the test may read it from `stdout` of the process."""
    with contextlib.ExitStack() as at_the_end:
        nothing = at_the_end.enter_context(open(os.devnull, "r+b"))

        def begin(*words: str, out: IO[Any] | None = None, err: IO[Any] = nothing) -> WarmProcess:
            reader, writer = os.pipe()
            streams = [nothing.fileno(), out.fileno() if out else writer, err.fileno()]
            process = warm.start(list(words), warm.fitted(environment), tmp_path, streams)
            os.close(writer)
            process.stdout = at_the_end.enter_context(open(reader, encoding="utf-8"))
            at_the_end.callback(process.wait)
            at_the_end.callback(process.kill)
            return process

        yield begin


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path, warm: WarmProgram) -> Iterator[Callable[..., Terminal]]:
    """Start `autoprune WORDS` in the folder, on a terminal of its own."""
    opened: list[Terminal] = []

    def begin(*words: str, width: int = 60, height: int = 40, **variables: str) -> Terminal:
        own = {name: value for name, value in environment.items() if name not in SIZE} | {"TERM": "xterm", **variables}
        opened.append(Terminal(warm, list(words), warm.fitted(own), tmp_path, (height, width)))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


@pytest.fixture
def here(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Program:
    """The same inside this process, for the many cases that need no process of their own."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        from autoprune.cli import main

        for name in ("AUTOPRUNE_CACHE", "AUTOPRUNE_RUNS", "COLUMNS"):
            monkeypatch.setenv(name, environment[name])
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["autoprune", *words])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(list(words), code, said.out, said.err)

    return run
