"""Endpoints are tried before anything is computed."""

import socket

import pytest

from autoprune.config_agents import LLMSettings
from autoprune.errors import ChatError
from autoprune.llm.provider import Choice
from autoprune.llm.reachable import check_reachable


@pytest.fixture
def port():
    """A port of this machine on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    return number


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_an_endpoint_that_listens_is_reachable(port):
    check_reachable(LLMSettings(base_url=f"http://127.0.0.1:{port}/v1"), Choice("openai", ""))


def test_one_that_does_not_is_named(closed):
    settings = LLMSettings(base_url=f"http://127.0.0.1:{closed}/v1")
    with pytest.raises(ChatError, match=f"endpoint http://127.0.0.1:{closed}/v1 cannot be reached: Connection refused"):
        check_reachable(settings, Choice("openai", ""))


def test_a_single_agents_endpoint_is_tried_too(port, closed):
    settings = LLMSettings.model_validate(
        {
            "base_url": f"http://127.0.0.1:{port}/v1",
            "roles": {"critic": {"base_url": f"http://127.0.0.1:{closed}/v1"}},
        }
    )
    with pytest.raises(ChatError, match=str(closed)):
        check_reachable(settings, Choice("openai", ""))


@pytest.mark.parametrize("provider", ["symbolic", "replay"])
def test_without_an_endpoint_nothing_is_tried(closed, provider):
    check_reachable(LLMSettings(base_url=f"http://127.0.0.1:{closed}/v1"), Choice(provider, ""))


def test_behind_a_proxy_nothing_is_tried(closed, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    check_reachable(LLMSettings(base_url=f"http://127.0.0.1:{closed}/v1"), Choice("openai", ""))
