"""A folder with what the pages' commands and Python expect: a run that has ended, or one that waits for approval."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoprune.agents.chat.choose import choose_llm
from autoprune.agents.session import open_crew, work
from autoprune.config import load_config
from autoprune.errors import RunPaused
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from tests.agents.conftest import SMALL
from tests.cli.conftest import Program, environment, here
from tests.docs.pages import ROOT

__all__ = ["environment", "here"]

WAITS = "docs/approval.md"
"""The page whose run waits for approval; on all other pages it has ended."""


@pytest.fixture(scope="session")
def run_of(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run that a page calls RUN: a small search without an LLM, made once for each mode of approval."""
    made: dict[str, Path] = {}

    def of(page: str) -> Path:
        approval = "human" if page == WAITS else "auto"
        if approval not in made:
            home = tmp_path_factory.mktemp(approval)
            words = [f"model={tiny_model}", *SMALL, "search.max_candidates=4", "search.generation_size=4"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
                made[approval] = _search(home / "RUN", [*words, f"approval={approval}"])
        return made[approval]

    return of


def _search(path: Path, words: list[str]) -> Path:
    config = load_config(None, words)
    run = RunDirectory.create(path, config)
    events = EventLog(run.events_file)
    try:
        with open_crew(run, config, choose_llm(config.llm, lambda line: None), events) as crew:
            work(crew)
    except RunPaused:
        pass
    finally:
        events.close()
    return path


@pytest.fixture
def folder(tmp_path: Path, run_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The folder in which a page's blocks run, with its RUN in it; no key is set."""

    def for_page(page: str) -> Path:
        shutil.copytree(run_of(page), tmp_path / "RUN")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        return tmp_path

    return for_page


@pytest.fixture
def in_a_shell(environment: dict[str, str], tmp_path: Path) -> Program:
    """Run `autoprune WORDS` by a real shell, which finds it on its PATH."""
    program = tmp_path / "bin" / "autoprune"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autoprune "$@"\n')
    program.chmod(0o755)
    paths = {"PATH": (program.parent, os.environ["PATH"]), "PYTHONPATH": (ROOT, os.environ.get("PYTHONPATH", ""))}
    variables = {name: os.pathsep.join(map(str, parts)) for name, parts in paths.items()}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", shlex.join(["autoprune", *words])],
            env={**environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run
