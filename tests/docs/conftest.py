"""Where the blocks of a page run: a clone of the repository with a run in it, which has ended or waits for approval."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autoprune.config import load_config
from autoprune.errors import RunPaused
from autoprune.llm.provider import choose_llm
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.session import open_context, work
from tests.docs.parts import (
    chat_url,
    collector_url,
    database_server,
    engine,
    hub,
    image,
    image_of_rootfs,
    ray_head,
    rootfs,
    tiny_gguf,
)
from tests.docs.programs import Programs, Shell, set_up_clone
from tests.programs import Program
from tests.small_search import SMALL

PARTS = (chat_url, collector_url, database_server, engine, hub, image, image_of_rootfs, ray_head, rootfs, tiny_gguf)
"""What the commands may need; see tests/docs/small.py."""
__all__ = ["PARTS"]

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
        with open_context(run, config, choose_llm(config.llm), events) as context:
            work(context)
    except RunPaused:
        pass
    finally:
        events.close()
    return path


@pytest.fixture
def folder(
    tmp_path: Path,
    run_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Path]:
    """The folder in which a page's blocks run, a clone of the repository with the page's RUN in it; no key is set."""

    def for_page(page: str) -> Path:
        set_up_clone(tmp_path)
        shutil.copytree(run_of(page), tmp_path / "RUN")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)
        return tmp_path

    return for_page


@pytest.fixture(scope="session")
def seen() -> set[str]:
    """What need not be run again on another page."""
    return set()


@pytest.fixture
def shell(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, environment, monkeypatch)


@pytest.fixture
def programs(shell: Shell, here: Program, request: pytest.FixtureRequest) -> Programs:
    """Runs the page's commands; a part is made when the first of them needs it."""

    class Parts(dict[str, object]):
        def __missing__(self, name: str) -> object:
            return request.getfixturevalue(name)

    return Programs(shell, here, Parts())
