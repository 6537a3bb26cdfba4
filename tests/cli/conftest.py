"""The program as its user starts it: in a process of its own."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoprune.config import load_config
from autoprune.llm.provider import choose_llm
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.session import open_context, work
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Calls
from tests.search.test_search import scripted
from tests.small_search import SMALL
from tests.warm import WarmProgram

V1 = Path(__file__).parent.parent / "runs" / "v1"

Program = Callable[..., subprocess.CompletedProcess[str]]


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
def autoprune(
    environment: dict[str, str],
    command: list[str],
    tmp_path: Path,
    tiny_model: Path,
    warm_programs: list[WarmProgram],
) -> Program:
    """Run `autoprune WORDS` in an empty folder and wait for its end."""

    def run(*words: str, seconds: float = 600, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {**environment, **variables}
        if not warm_programs:
            warm_programs.append(WarmProgram(own, tiny_model))
        if warm_programs[0].fits(own):
            return warm_programs[0].run(list(words), own, tmp_path, seconds)
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
def small(tiny_model: Path) -> list[str]:
    """The settings of a search that takes seconds."""
    return [f"model={tiny_model}", *SMALL]


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


@pytest.fixture
def old_run(tmp_path: Path) -> str:
    """A run as version 1 wrote it, put together from its parts as text."""
    run = tmp_path / "old"
    (run / "candidates").mkdir(parents=True)
    for name in ("config.yaml", "events.jsonl"):
        shutil.copy(V1 / name, run / name)
    for source in (V1 / "candidates").iterdir():
        shutil.copy(source, run / "candidates" / source.stem)
    archive = sqlite3.connect(run / "archive.sqlite")
    archive.executescript((V1 / "archive.sql").read_text(encoding="utf-8"))
    archive.close()
    return str(run)


def curious(body: dict[str, Any]) -> Any:
    """As `scripted`, but it looks up what was tried before it thinks."""
    asked_before = any(message["role"] == "tool" for message in body["messages"])
    if "tools" in body and not asked_before:
        return Calls((("recall", '{"what": "best"}'), ("inspect_target", '{"limit": 1}')))
    answer = scripted(body)
    return f"<think>\nWhere is it dense?\n</think>\n{answer}" if "idea" in answer else answer


@pytest.fixture(scope="session")
def recorded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a run of four candidates, half of them by a scripted LLM; all are measured."""
    home = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch, ChatServer([""]) as server:
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        server.script = curious
        words = (
            "llm.provider=openai",
            f"llm.base_url={server.base_url}",
            "llm.profile=small",
            "agents.symbolic_share=0.5",
            "advanced.symbolic_first=false",
            "agents.critic=llm",
        )
        words += ("search.max_candidates=4", "advanced.layer_error=null")
        config = load_config(None, [f"model={tiny_model}", *SMALL, *words])
        run = RunDirectory.create(home / "run", config)
        events = EventLog(run.events_file)
        with open_context(run, config, choose_llm(config.llm), events) as context:
            work(context)
        events.close()
    return str(run.path)
