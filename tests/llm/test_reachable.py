"""Endpoints, keys and names of models are tried before anything is computed."""

import socket

import pytest

from autoprune.config_agents import LLMSettings
from autoprune.errors import ChatError
from autoprune.llm.provider import Choice, choose_llm
from autoprune.llm.reachable import check_endpoints
from tests.llm.replies import Raw, Status

OPENAI = Choice("openai", "")
KEY = "sk-refused-1234567890"


@pytest.fixture
def closed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    return number


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def settings_of(server, model="scripted", **settings):
    return LLMSettings.model_validate({"base_url": server.base_url, "model": model, **settings})


def test_a_listed_model_is_not_asked(chat_server):
    check_endpoints(settings_of(chat_server), OPENAI)
    assert chat_server.requests == []


def test_an_endpoint_that_does_not_answer_is_named(closed):
    settings = LLMSettings(base_url=f"http://127.0.0.1:{closed}/v1", model="m")
    with pytest.raises(ChatError, match=rf"endpoint http://127.0.0.1:{closed}/v1 cannot be reached: .*refused"):
        check_endpoints(settings, OPENAI)


def test_a_single_agents_endpoint_is_tried_too_beside_a_local_model(chat_server, closed):
    roles = {"critic": {"base_url": f"http://127.0.0.1:{closed}/v1"}}
    for choice in (OPENAI, Choice("local", "")):
        with pytest.raises(ChatError, match=str(closed)):
            check_endpoints(settings_of(chat_server, roles=roles), choice)


def test_a_refused_key_is_one_line_without_the_key(chat_server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    chat_server.listing = Status(401, message=f"Incorrect API key provided: {KEY}")
    chat_server.script = [chat_server.listing]
    with pytest.raises(ChatError, match=r"HTTP 401: Incorrect API key provided.*check the key") as caught:
        check_endpoints(settings_of(chat_server), OPENAI)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_may_not_list_models_but_use_one_is_accepted(chat_server):
    chat_server.listing = Status(403, message="Missing scopes: api.model.read")
    check_endpoints(settings_of(chat_server), OPENAI)
    assert [request["model"] for request in chat_server.requests] == ["scripted"]


@pytest.mark.parametrize("status", [404, 400], ids=str)
def test_an_unknown_model_is_one_line_with_the_name_that_may_be_meant(chat_server, status):
    chat_server.script = [Status(status, message="no such model")]
    with pytest.raises(ChatError, match=rf"scriptet at http.*HTTP {status}: no such model.*did you mean scripted\?"):
        check_endpoints(settings_of(chat_server, model="scriptet"), OPENAI)


def test_a_model_by_a_name_that_is_not_listed_is_accepted(chat_server):
    check_endpoints(settings_of(chat_server, model="scripted:latest"), OPENAI)
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize("status", [429, 503], ids=str)
def test_an_endpoint_that_is_busy_may_answer_later(chat_server, status):
    chat_server.script = [Status(status)]
    check_endpoints(settings_of(chat_server, model="another"), OPENAI)


@pytest.mark.parametrize(
    "listing",
    [Status(404), Status(405), Status(501), Status(500), Raw(b"<html>no</html>", "text/html"), Raw(b'{"models": []}')],
    ids=lambda listing: str(listing.code),
)
def test_an_endpoint_without_a_list_is_used_as_it_is(chat_server, listing):
    chat_server.listing = listing
    check_endpoints(settings_of(chat_server, model="m"), OPENAI)
    assert chat_server.requests == []


def test_each_model_is_checked_once(chat_server):
    roles = {"critic": {"model": "judge"}, "analyst": {"temperature": 0.1}}
    check_endpoints(settings_of(chat_server, model="m", roles=roles), OPENAI)
    assert sorted(request["model"] for request in chat_server.requests) == ["judge", "m"]


def test_without_an_endpoint_nothing_is_tried(closed):
    check_endpoints(LLMSettings(base_url=f"http://127.0.0.1:{closed}/v1"), Choice("symbolic", ""))


def test_a_recording_is_played_without_a_question_to_its_endpoint(closed):
    settings = LLMSettings(provider="replay", base_url=f"http://127.0.0.1:{closed}/v1")
    check_endpoints(settings, choose_llm(settings))


def test_an_endpoint_behind_a_proxy_is_asked_through_it(chat_server, closed, monkeypatch):
    settings = LLMSettings(base_url="http://endpoint.example/v1", model="another")
    monkeypatch.setenv("http_proxy", chat_server.base_url.removesuffix("/v1"))
    chat_server.script = [Status(404, message="no such model")]
    with pytest.raises(ChatError, match="no such model"):
        check_endpoints(settings, OPENAI)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed}")
    with pytest.raises(ChatError, match=r"endpoint\.example/v1 cannot be reached"):
        check_endpoints(settings, OPENAI)


def test_a_server_on_this_machine_is_asked_directly(chat_server, closed, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed}")
    check_endpoints(settings_of(chat_server), OPENAI)
