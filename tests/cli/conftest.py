"""Runs, and chat models, for the commands."""

import shutil
import sqlite3
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

V1 = Path(__file__).parent.parent / "runs" / "v1"


@pytest.fixture
def small(tiny_model: Path) -> list[str]:
    """The settings of a search that takes seconds."""
    return [f"model={tiny_model}", *SMALL]


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
