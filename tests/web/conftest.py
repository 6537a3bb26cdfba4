"""A run with two candidates that wait, its live page, and a client that has the token."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from autoprune.config import load_config
from autoprune.runs.approvals import ApprovalRequest
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, full_hash
from autoprune.web.app import live_app
from autoprune.web.live_run import LiveRun
from tests.cli.approve.waiting import PARENT, SHOWN

TOKEN = "a-token"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[2J \u202e"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(tmp_path / "run", load_config(None, ["approval=human"]))
    with closing(Archive.of(run)) as archive:
        for slot in ("g1.c1", "g1.c2"):
            source = SHOWN + f"# {slot}\n"
            request = ApprovalRequest(
                slot=slot,
                candidate=run.save_source(source),
                revision=0,
                operator="cross",
                engine="llm",
                thought={"idea": HOSTILE, "reasoning": "because"},
                review=["fine"],
                parent="seed.wanda",
                parent_source=run.save_source(PARENT),
                sha256=full_hash(source),
            )
            archive.approvals.ask(request)
    return run


@pytest.fixture
def archive(run: RunDirectory) -> Iterator[Archive]:
    with closing(Archive.of(run)) as archive:
        yield archive


@pytest.fixture
def live(run: RunDirectory) -> Iterator[LiveRun]:
    with closing(LiveRun(run)) as live:
        yield live


@pytest.fixture
def client(live: LiveRun) -> TestClient:
    client = TestClient(live_app(live, TOKEN), base_url=ADDRESS)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client


@pytest.fixture
def shown(client: TestClient, archive: Archive) -> Callable[[str], dict[str, Any]]:
    """What the page shows of the candidate that waits in a slot."""

    def of(slot: str) -> dict[str, Any]:
        candidate = next(each.candidate for each in archive.approvals.pending() if each.slot == slot)
        reply: dict[str, Any] = client.get(f"/api/requests/{slot}/{candidate}").json()
        return reply

    return of


def words_of(shown: dict[str, Any], **more: str) -> dict[str, Any]:
    """The body of a decision on what was shown."""
    return {**{key: shown[key] for key in ("slot", "candidate", "sha256")}, **more}
