"""A whole search on the tiny model, small enough for a test: settings, and a function that runs it in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoprune.config import Config, load_config
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.llm.faulty_server import ChatServer
from tests.search.kept import kept
from tests.search.lives import Nursery, live

SMALL = (
    "dtype=float32",
    "device=cpu",
    "sparsity=0.5",
    "data.seqlen=64",
    "data.calibration_samples=4",
    "data.search_windows=4",
    "data.report_windows=4",
    "sandbox.engine=local",
    "llm.provider=symbolic",
    "llm.retries=0",
    "search.max_candidates=6",
    "search.generation_size=2",
    "confirmation.seeds=2",
    "advanced.deepen=0",
    "advanced.polish=0",
    "baselines.refinements=[none]",
    "advanced.cache=off",
)
"""Without the cache of measurements: two runs with the same seed shall find the same, not look it up."""

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
def search(
    small_config: Callable[..., Config],
    tmp_path: Path,
) -> Search:
    """Run a search, or go on with one that is there, under the name `name`."""

    def run(*words: str, name: str = "run") -> RunDirectory:
        return live(tmp_path / name, small_config(*words))

    return run


@pytest.fixture(scope="session")
def nursery(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(load_config(None, [f"model={tiny_model}", *SMALL]), tmp_path_factory.mktemp("cache"))
    yield nursery
    nursery.close()


@pytest.fixture
def facts() -> Callable[[RunDirectory], dict[str, Any]]:
    """What a run found, without times: to compare two runs."""

    def of(run: RunDirectory) -> dict[str, Any]:
        archive = Archive.of(run)
        try:
            return {
                "outcomes": {o.slot: (o.candidate, o.status, o.data.get("perplexity")) for o in archive.outcomes()},
                "measurements": sorted(
                    (m.subject, m.split, key, m.perplexity) for key, m in kept(archive, "search", "report")
                ),
                "nodes": sorted(node.id for node in archive.nodes()),
                "edges": sorted((edge.source, edge.target, edge.kind) for edge in archive.edges()),
                "calls": sorted(archive.calls()),
            }
        finally:
            archive.close()

    return of
