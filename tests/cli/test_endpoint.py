"""A search beside an endpoint that fails: exit codes, one line each, and nothing lost."""

import json

import pytest

from tests.agents.chat.faulty_server import Answer, ChatServer, Huge, Status
from tests.agents.test_search import scripted

MEBIBYTE = 2**20


@pytest.fixture
def words(small):
    """A search of two candidates by an LLM, which resumes without being told the model's name."""
    return [*small, "llm.provider=openai", "agents.symbolic_share=0", "search.max_candidates=2", "--run-dir", "r"]


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
    [(("--max-tokens", "30"), "30 tokens spent"), (("--max-usd", "0.5"), "price is unknown")],
    ids=["tokens", "money"],
)
def test_a_limit_ends_the_run_with_its_table(here, words, limit, told):
    with ChatServer(scripted) as server:
        done = here("search", *words, at(server), *limit)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert told in shown
    assert "report" in shown
