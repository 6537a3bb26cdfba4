import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autoprune.config_agents import LLMSettings
from autoprune.errors import ChatError, UsageError
from autoprune.llm import provider
from autoprune.llm.endpoint import is_loopback
from autoprune.llm.provider import VENDOR_MODEL, Choice, choose_llm, open_chats, runs_here
from tests.llm.faulty_server import ChatServer


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(variable, raising=False)


def installed(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    monkeypatch.setattr(provider, "find_spec", lambda name: object() if yes else None)


def broken(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> None:
    """Another module of the engine's name comes first."""
    (folder / "xllamacpp.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("settings", "environment", "engine", "provider", "reason"),
    [
        ({}, {"OPENAI_API_KEY": "k"}, True, "openai", "OPENAI_API_KEY is set"),
        ({}, {"OPENAI_BASE_URL": "http://x/v1"}, True, "openai", "OPENAI_BASE_URL is set"),
        ({"base_url": "http://x/v1"}, {}, True, "openai", "llm.base_url is set"),
        ({}, {}, True, "local", "engine is installed"),
        ({}, {"OPENAI_API_KEY": ""}, True, "local", "no OPENAI_API_KEY"),
        ({}, {}, False, "symbolic", "pip install"),
        ({"provider": "symbolic"}, {"OPENAI_API_KEY": "k"}, True, "symbolic", "asked for"),
        ({"provider": "local"}, {"OPENAI_API_KEY": "k"}, True, "local", "asked for"),
        ({"provider": "openai"}, {"OPENAI_API_KEY": "k"}, False, "openai", "asked for"),
    ],
)
def test_choice_follows_the_configuration_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    environment: dict[str, str],
    engine: bool,
    provider: str,
    reason: str,
    logged: list[str],
) -> None:
    installed(monkeypatch, engine)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    choice = choose_llm(LLMSettings(**settings))
    assert choice.provider == provider
    assert reason in choice.why
    assert len(logged) == 1
    assert provider in logged[0]
    assert reason in logged[0]


def test_asking_for_an_endpoint_without_one_names_both_settings() -> None:
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY.*llm\.base_url"):
        choose_llm(LLMSettings(provider="openai"))


def test_asking_for_the_local_model_without_the_engine_gives_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, False)
    with pytest.raises(UsageError, match=r"pip install 'autoprune\[local-llm\]'"):
        choose_llm(LLMSettings(provider="local"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('libgomp.so.1: cannot open shared object file')", "libgomp.so.1: cannot open shared"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "the process ended with -4"),
    ],
)
def test_an_engine_that_cannot_be_imported_is_not_chosen_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, said: str, logged: list[str]
) -> None:
    broken(monkeypatch, tmp_path, source)
    assert choose_llm(LLMSettings()).provider == "symbolic"
    assert "is installed but cannot be imported" in logged[0]
    assert said in logged[0]
    with pytest.raises(UsageError, match=r"llm\.provider = local needs .* cannot be imported") as caught:
        choose_llm(LLMSettings(provider="local"))
    assert said in str(caught.value)


@contextlib.contextmanager
def opened(settings: LLMSettings, role: str = "proposer", **options: Any) -> Iterator[Any]:
    with open_chats(settings, choose_llm(settings), **options) as chats:
        yield chats.get(role)


def test_symbolic_needs_no_chat() -> None:
    with opened(LLMSettings(provider="symbolic")) as chat:
        assert chat is None


def test_endpoint_from_settings_answers_with_the_named_model(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    settings = LLMSettings(base_url=chat_server.base_url, model="gpt-4o-mini", max_reply_tokens=11)
    with opened(settings) as chat:
        reply = chat.ask("k", "proposer", [{"role": "user", "content": "hi"}])
    assert reply.model == "gpt-4o-mini"
    assert reply.usd == pytest.approx((7 * 0.15 + 5 * 0.60) / 1e6)
    assert chat_server.requests[0]["max_tokens"] == 11
    assert chat_server.headers[0]["authorization"] == "Bearer sk-1"


def test_only_model_of_an_endpoint_is_taken(chat_server: ChatServer) -> None:
    with opened(LLMSettings(base_url=chat_server.base_url)) as chat:
        assert chat.endpoint.model == "scripted"
        assert chat.endpoint.price("scripted", 10, 10) is None


def test_endpoint_with_several_models_wants_one_named(chat_server: ChatServer) -> None:
    chat_server.models = ["a", "b"]
    with (
        pytest.raises(UsageError, match=r"llm\.model must name one of the 2 models.*a, b"),
        opened(LLMSettings(base_url=chat_server.base_url)),
    ):
        pass


@pytest.mark.parametrize("key", ["sk-“quoted”", "sk-1\n2"], ids=["quotes", "line break"])
def test_a_key_that_no_header_can_carry_is_said_without_showing_it(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with (
        pytest.raises(UsageError, match="OPENAI_API_KEY holds a character") as caught,
        opened(LLMSettings(base_url=chat_server.base_url, model="m")),
    ):
        pass
    assert key not in str(caught.value)


def test_an_address_gets_back_the_user_that_the_settings_of_a_run_do_not_hold(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", chat_server.base_url.replace("http://", "http://me:pa55@"))
    with opened(LLMSettings(base_url=chat_server.base_url, model="m")) as chat:
        chat.ask("k", "proposer", [{"role": "user", "content": "hi"}])
        assert "pa55" not in str(chat.endpoint)
    assert chat_server.headers[0]["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("host", "profile", "limits"),
    [("127.0.0.1", "strong", (900, 4096)), ("127.0.0.1", "small", (90, 400)), ("0.0.0.0", "strong", None)],
)
def test_every_endpoint_streams_and_only_one_on_this_machine_is_asked_for_shorter_replies(
    chat_server: ChatServer, monkeypatch: pytest.MonkeyPatch, host: str, profile: Any, limits: tuple[int, int] | None
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    url = chat_server.base_url.replace("127.0.0.1", host)  # 0.0.0.0 is this machine by an address that is not loopback
    with opened(LLMSettings(base_url=url, model="m", profile=profile)) as chat:
        chat.ask("k", "proposer", [{"role": "user", "content": "hi"}])
    assert chat_server.requests[0]["stream"] is True
    assert chat.endpoint.patience == (limits and limits[0])
    assert limits is None or chat.endpoint.fewest_tokens == limits[1]


HERE, AWAY = "http://localhost:11434/v1", "https://api.example.org/v1"


@pytest.mark.parametrize(
    ("provider", "settings", "variable", "here"),
    [
        ("local", {}, AWAY, True),
        ("self", {}, None, True),
        ("local", {"roles": {"proposer": {"base_url": AWAY}}}, None, False),
        ("local", {"roles": {"critic": {"base_url": AWAY}}}, None, True),
        ("openai", {}, None, False),
        ("openai", {}, HERE, True),
        ("openai", {"base_url": HERE}, AWAY, True),
        ("openai", {"base_url": AWAY}, HERE, False),
        ("openai", {"base_url": AWAY, "roles": {"proposer": {"base_url": HERE}}}, None, True),
        ("symbolic", {"base_url": HERE}, None, False),
        ("replay", {"base_url": HERE}, None, False),
    ],
)
def test_the_proposers_model_is_here_if_it_is_local_or_at_a_loopback_address(
    monkeypatch: pytest.MonkeyPatch, provider: Any, settings: dict[str, Any], variable: str | None, here: bool
) -> None:
    if variable:
        monkeypatch.setenv("OPENAI_BASE_URL", variable)
    assert runs_here(LLMSettings.model_validate(settings), Choice(provider, "asked for")) is here


def ask_all(settings: LLMSettings) -> Any:
    with open_chats(settings, choose_llm(settings)) as chats:
        for role, chat in chats.items():
            chat.ask(role, role, [{"role": "user", "content": role}])
        return chats


def test_agents_without_settings_of_their_own_share_one_chat(chat_server: ChatServer, logged: list[str]) -> None:
    chats = ask_all(LLMSettings(base_url=chat_server.base_url, model="m"))
    assert len(set(map(id, chats.values()))) == 1
    assert [line for line in logged if not line.startswith("LLM: ")] == []


def test_one_agent_can_have_a_model_an_endpoint_and_a_temperature_of_its_own(
    chat_server: ChatServer, logged: list[str]
) -> None:
    with ChatServer(["hello"]) as other:
        tree = {
            "base_url": chat_server.base_url,
            "model": "m",
            "roles": {"critic": {"model": "judge", "base_url": other.base_url}, "analyst": {"temperature": 0.1}},
        }
        ask_all(LLMSettings.model_validate(tree))
        assert [request["model"] for request in other.requests] == ["judge"]
    asked = {request["messages"][0]["content"]: request for request in chat_server.requests}
    assert {role: request["temperature"] for role, request in asked.items()} == {"proposer": 0.8, "analyst": 0.1}
    assert {request["model"] for request in asked.values()} == {"m"}
    assert any(line == f"critic: judge at {other.base_url}" for line in logged)


def test_endpoint_that_is_down_is_said_before_the_run() -> None:
    with (
        pytest.raises(ChatError, match=r"127\.0\.0\.1:9.*cannot connect"),
        opened(LLMSettings(base_url="http://127.0.0.1:9/v1")),
    ):
        pass


def test_vendor_has_a_default_model_with_a_known_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with opened(LLMSettings(), seed=4) as chat:
        assert chat.endpoint.model == VENDOR_MODEL
        assert chat.endpoint.price(VENDOR_MODEL, 1000, 1000) > 0


@pytest.mark.parametrize("url", ["http://[::1/v1", "localhost:8000/v1", "http://host:99999/v1", "ftp://host/v1", "x"])
def test_what_is_no_address_is_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(ValidationError, match="like http://localhost:8000/v1"):
        LLMSettings(base_url=url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(UsageError, match=r"OPENAI_BASE_URL.*like http://localhost:8000/v1"), opened(LLMSettings()):
        pass


@pytest.mark.parametrize(
    ("base_url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:80/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://localhost.example.org/v1", False),
    ],
)
def test_loopback_addresses_are_told_from_others(base_url: str, here: bool) -> None:
    assert is_loopback(base_url) is here


def test_turn_is_held_for_a_model_on_this_machine(chat_server: ChatServer) -> None:
    entered = []

    @contextlib.contextmanager
    def turn() -> Any:
        entered.append(True)
        yield

    with opened(LLMSettings(base_url=chat_server.base_url), lock=turn()) as chat:
        chat.ask("k", "proposer", [{"role": "user", "content": "hi"}])
    assert entered


def test_wrong_model_file_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, True)
    (tmp_path / "notes.txt").write_text("hello")
    for name, problem in [("notes.txt", "is no GGUF file"), ("missing.gguf", "cannot be read")]:
        with (
            pytest.raises(UsageError, match=problem),
            opened(LLMSettings(provider="local", model=str(tmp_path / name))),
        ):
            pass
