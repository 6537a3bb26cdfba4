"""A search beside an endpoint that fails: exit codes, one line each, and nothing lost."""

import json
import sys
from pathlib import Path

import pytest

from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Huge, Status, as_json, completion
from tests.search.test_search import scripted

MEBIBYTE = 2**20


@pytest.fixture
def words(small):
    """A search of two candidates by an LLM, which resumes without being told the model's name."""
    return [
        *small,
        "llm.provider=openai",
        "llm.profile=small",
        "agents.symbolic_share=0",
        "search.max_candidates=2",
        "--run-dir",
        "r",
    ]


def at(server):
    return f"llm.base_url={server.base_url}"


@pytest.mark.long
def test_an_endpoint_that_goes_away_pauses_the_run_until_it_is_back(autoprune, words):
    replies = iter([True, True])
    with ChatServer(lambda body: scripted(body) if next(replies, False) else Status(503)) as server:
        port = server.port
        paused = autoprune("search", *words, at(server))
    assert paused.returncode == 3, paused.stderr
    assert "failed once (last: HTTP 503" in paused.stderr
    assert "autoprune resume r" in paused.stdout
    still_down = autoprune("resume", "r")
    assert still_down.returncode == 3, still_down.stderr
    assert "cannot connect" in still_down.stderr
    assert "Traceback" not in still_down.stderr
    with ChatServer(scripted, port):
        done = autoprune("resume", "r", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["conclusion"]


@pytest.mark.parametrize(
    "reply",
    [Huge(64 * MEBIBYTE), Answer("```python\nimport torch\n\n\ndef sco", "length"), Answer(None), "<html>no</html>"],
    ids=["huge", "truncated", "empty", "another language"],
)
def test_replies_that_are_no_candidate_end_the_slots_and_not_the_run(here, words, reply):
    with ChatServer(lambda body: scripted(body) if "response_format" in body else reply) as server:
        done = here("search", *words, at(server), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "no candidate was measured" in told["conclusion"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("limit", "told"),
    [(("--max-tokens", "20"), "20 tokens spent"), (("--max-usd", "0.5"), "price is unknown")],
    ids=["tokens", "money"],
)
def test_a_limit_ends_the_run_with_its_table(here, words, limit, told):
    with ChatServer(scripted) as server:
        done = here("search", *words, "search.max_candidates=4", at(server), *limit)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert told in shown
    assert "report" in shown


KEY = "sk-live-ABCDEFGH12345678"


def everything_in(folder):
    return b"".join(file.read_bytes() for file in Path(folder).rglob("*") if file.is_file())


def test_a_key_that_the_endpoint_repeats_is_neither_printed_nor_stored(here, words, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def script(body):
        reply = scripted(body)
        if "idea" in reply:
            return reply.replace("because", f"as {KEY} says")
        return reply.replace("import torch", f"import torch\n# for {KEY}")

    with ChatServer(script) as server:
        done = here("search", *words, at(server), "search.max_candidates=1")
        shown = here("trace", "r").stdout
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr + shown
    assert KEY.encode() not in everything_in("r")
    assert b"as *** says" in everything_in("r")


def test_a_refused_key_is_not_shown_by_the_error_that_repeats_it(here, words, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    message = f"{KEY}, Bearer {KEY}, https://u:{KEY}@host/v1?key={KEY}"
    with ChatServer([Status(401, message=f"Incorrect API key provided: {message}")]) as server:
        address = server.base_url.replace("http://", "http://me:pa55word@")
        done = here("search", *words, f"llm.base_url={address}")
    assert done.returncode == 1
    assert "Incorrect API key provided" in done.stderr
    for secret in (KEY, "pa55word"):
        assert secret not in done.stdout + done.stderr
        assert secret.encode() not in everything_in("r")


def test_a_traceback_is_shown_without_the_key(here, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    here("--help")
    try:
        raise RuntimeError(f"with {KEY}")
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    shown = capfd.readouterr().err
    assert "RuntimeError: with ***" in shown


def test_a_limit_on_tokens_holds_where_the_endpoint_does_not_count(here, words):
    def script(body):
        return as_json({**completion(Answer(scripted(body)), "m"), "usage": {}})

    with ChatServer(script) as server:
        done = here("search", *words, at(server), "--max-tokens", "30")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "30 tokens spent" in shown
    assert "~" in shown
