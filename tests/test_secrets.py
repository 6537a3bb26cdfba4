"""Known secrets in what is printed or stored."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from autoprune.config import load_config
from autoprune.llm.endpoint import Endpoint
from autoprune.runs.archive import Archive, Outcome
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.secrets import masked, masked_tree

KEY = "sk-live/aB+c=1234567890"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Authorization: Bearer {KEY}",
        f"https://host/v1?key={KEY}&x=1",
        "https://host/v1?key=sk-live%2FaB%2Bc%3D1234567890",
        "https://host/v1?key=sk-live%2faB%2bc%3d1234567890",
        f"b'Bearer {KEY}\\n'",
        f"'{KEY}' in quotes",
        f"as JSON: {KEY.replace('/', chr(92) + '/')}",
    ],
)
def test_the_known_key_is_masked_wherever_it_stands(text: str) -> None:
    shown = masked(text)
    assert "1234567890" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://user:pa55@host:80/v1", "at http://***@host:80/v1"),
        ("at http://user:pa@55@host:80/v1", "at http://***@host:80/v1"),
        ("at https://token@host/v1", "at https://***@host/v1"),
        ("at postgresql://me:pa55@host/db", "at postgresql://me:***@host/db"),
        ("Authorization: bearer abcdef0123456789abcdef", "Authorization: bearer ***"),
        ("mail me@host.org", "mail me@host.org"),
        ("http://127.0.0.1:80/v1", "http://127.0.0.1:80/v1"),
        ("W @ X at https://host/a@b", "W @ X at https://host/a@b"),
        ("the bearer of bad news", "the bearer of bad news"),
    ],
)
def test_users_and_passwords_in_addresses_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize("around", ["{}", ":{}", "u:{}", "me:{}", "{}:", "key={}&more"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_the_known_key_is_masked_within_base64(around: str, encode: Callable[[bytes], bytes]) -> None:
    shown = masked("Basic " + encode(around.format(KEY).encode()).decode())
    assert len(shown.replace("***", "")) <= len("Basic ") + len(b64encode(around.format("").encode())) + 4
    assert "***" in shown


@pytest.mark.parametrize(
    ("url", "pair"),
    [("http://me:pa%24s%2Fword@host/v1", "me:pa$s/word"), ("https://pa%24s%2Fword@host/v1", "pa$s/word:")],
)
def test_the_password_of_an_endpoints_address_is_a_secret(url: str, pair: str) -> None:
    Endpoint(base_url=url, model="m")
    assert masked("pa$s/word pa%24s%2Fword") == "*** ***"
    assert masked(f"Basic {b64encode(pair.encode()).decode()}").rstrip("=") == "Basic ***"


@pytest.mark.parametrize("key", ["none", "ollama", "EMPTY", "test", "x", "", "lm-studio"])
def test_a_placeholder_is_no_secret(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert masked(f"a line with {key}, none, test and ollama") == f"a line with {key}, none, test and ollama"


def test_a_short_key_is_masked_as_a_word_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "score1")
    assert masked("key score1, scores score12") == "key ***, scores score12"


def test_data_is_masked_throughout() -> None:
    assert masked_tree({KEY: [f"a {KEY}", 1, None, {"b": KEY}]}) == {"***": ["a ***", 1, None, {"b": "***"}]}


def test_events_and_archive_hold_no_key(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    seen = []
    events.listen(seen.append)
    events.emit("notice", text=f"401: {KEY}")
    events.close()
    archive = Archive(tmp_path / "archive.sqlite")
    archive.put("k", {"turns": [{"text": f"your key is {KEY}"}]})
    archive.add_outcome(Outcome("g1.c1", 1, None, "failed", message=f"said {KEY}", data={"diagnostics": KEY}))
    assert json.dumps(archive.get("k")) == '{"turns": [{"text": "your key is ***"}]}'
    assert archive.outcomes()[0].message == "said ***"
    archive.close()
    assert seen[0].data == {"text": "401: ***"}
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_settings_are_written_without_the_user_of_an_address(tmp_path: Path) -> None:
    words = ["llm.base_url=http://me:pa55@host/v1", "llm.roles.critic.base_url=https://token@other/v1"]
    config = load_config(None, words)
    run = RunDirectory(tmp_path)
    run.write_settings(config, {})
    written = run.settings_file.read_text()
    assert "http://host/v1" in written
    assert "pa55" not in written
    assert "token@" not in written
    assert config.llm.for_role("critic").base_url == "https://token@other/v1"
    assert load_config(None, ["llm.base_url=http://host/v1"]).llm.base_url == "http://host/v1"
