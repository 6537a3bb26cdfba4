"""A whole search on the tiny model, small enough for a test: settings, and a function that runs it in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoprune.agents.chat.choose import choose_llm
from autoprune.agents.session import open_crew, work
from autoprune.config import Config, load_config
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from tests.agents.chat.faulty_server import ChatServer

SMALL = (
    "dtype=float32",
    "device=cpu",
    "sparsity=0.5",
    "data.seqlen=64",
    "data.calibration_samples=4",
    "data.search_windows=4",
    "data.report_windows=4",
    "sandbox.engine=local",
    "sandbox.threads=1",
    "llm.provider=symbolic",
    "llm.retries=0",
    "search.max_candidates=6",
    "search.generation_size=2",
)

Search = Callable[..., RunDirectory]


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    with ChatServer(["hello"]) as server:
        yield server


@pytest.fixture
def small_config(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Settings for the tiny model; words override them. The cache is the test's own."""
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return lambda *words: load_config(None, [f"model={tiny_model}", *SMALL, *words])


@pytest.fixture
def search(small_config: Callable[..., Config], tmp_path: Path) -> Search:
    """Run a search, or go on with one that is there, under the name `name`."""

    def run(*words: str, name: str = "run") -> RunDirectory:
        path = tmp_path / name
        config = small_config(*words)
        directory = RunDirectory(path) if path.exists() else RunDirectory.create(path, config)
        events = EventLog(directory.events_file)
        try:
            choice = choose_llm(config.llm, lambda line: None)
            with open_crew(directory, config, choice, events) as crew:
                work(crew)
        finally:
            events.close()
        return directory

    return run


@pytest.fixture
def facts() -> Callable[[RunDirectory], dict[str, Any]]:
    """What a run found, without times: to compare two runs."""

    def of(run: RunDirectory) -> dict[str, Any]:
        archive = Archive(run.archive_file)
        try:
            return {
                "outcomes": {o.slot: (o.candidate, o.status, o.data.get("perplexity")) for o in archive.outcomes()},
                "measurements": sorted(
                    (m.subject, m.split, m.perplexity) for s in ("search", "report") for m in archive.measurements(s)
                ),
                "nodes": sorted(node.id for node in archive.nodes()),
                "edges": sorted((edge.source, edge.target, edge.kind) for edge in archive.edges()),
                "calls": sorted(archive.calls()),
            }
        finally:
            archive.close()

    return of
