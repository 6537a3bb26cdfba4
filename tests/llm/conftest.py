"""Fixtures: a scripted chat server, a journal on disk, and a chat with both."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoprune.llm.client import Chat
from autoprune.llm.endpoint import Endpoint
from tests.llm.faulty_server import ChatServer


class DiskJournal:
    """A journal over one SQLite table; every put is durable."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("create table if not exists journal (key text primary key, value text)")

    def get(self, key: str) -> dict[str, Any] | None:
        row = self._database.execute("select value from journal where key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        self._database.execute("insert or replace into journal values (?, ?)", (key, json.dumps(value)))

    def values(self) -> list[dict[str, Any]]:
        return [json.loads(row[0]) for row in self._database.execute("select value from journal")]


_OF_ENDPOINT = ("price", "seed", "patience", "fewest_tokens", "base_url", "streams", "reports_progress", "refusals")


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """A running server that answers "hello"; tests replace its `script`."""
    with ChatServer(["hello"]) as server:
        yield server


@pytest.fixture
def journal(tmp_path: Path) -> DiskJournal:
    return DiskJournal(tmp_path / "journal.sqlite")


@pytest.fixture
def open_chat_to(chat_server: ChatServer) -> Iterator[Callable[..., Chat]]:
    """Makes a chat to the scripted server; it never really sleeps between tries, and `naps` says how long it would."""
    chats = []

    def make(timeout: float = 5.0, retries: int = 2, **options: Any) -> Chat:
        endpoint_options = {key: options.pop(key) for key in _OF_ENDPOINT if key in options}
        base_url = endpoint_options.pop("base_url", chat_server.base_url)
        endpoint = Endpoint(base_url=base_url, model="m", timeout=timeout, retries=retries, **endpoint_options)
        options.setdefault("sleep", lambda seconds: None)
        chats.append(Chat(endpoint, **options))
        return chats[-1]

    yield make
    for chat in chats:
        chat.close()
