"""Errors that come with status 200: in place of an answer, within a choice, in a stream."""

from typing import Any

import pytest

from autoprune.errors import ChatError, RunPaused
from autoprune.llm.error_objects import error_in, message_of, status_of
from tests.llm.asking import MakeChat, ask
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Stream, as_json

CREDIT = {"message": "Insufficient credits", "code": 402}


def in_choice(error: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": ""}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "error", "error": error}]}


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"error": CREDIT}, "error 402 with status 200: Insufficient credits; the account has no credit left"),
        ({"error": {**CREDIT, "code": "402"}}, "no credit left"),
        (in_choice(CREDIT), "Insufficient credits; the account has no credit left"),
        ({"error": {"message": "No cookie auth credentials found", "code": 401}}, "OPENAI_API_KEY"),
        (
            {"error": {"message": "bad key", "type": "invalid_request_error", "code": "invalid_api_key"}},
            "OPENAI_API_KEY",
        ),
        ({"error": "model 'm' not found"}, "llm.model"),
        ({"object": "error", "message": "No such deployment", "code": 404}, "No such deployment; check llm.model"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}, "no credit"),
        ({"error": "prompt too long: unsupported"}, "error 400"),
        ({"error": {"message": "bad"}, "status_code": 401}, "error 401 with status 200: bad"),
        ({"error": "bad", "code": "402"}, "error 402 with status 200: bad"),
        ({"error": 1, "message": "Not authenticated"}, "error 401 with status 200: Not authenticated"),
        ({"errors": [{"message": "odd", "code": 404}]}, "error 404 with status 200: odd"),
        (
            {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
            "error 402.*too low",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_the_user_must_mend_ends_the_run_with_the_errors_own_words(
    open_chat_to: MakeChat, chat_server: ChatServer, body: Any, line: str
) -> None:
    chat_server.script = [as_json(body)]
    with pytest.raises(ChatError, match=line) as caught:
        ask(open_chat_to())
    assert "address" not in str(caught.value)
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ({"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}, "error 429.*free-models"),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "error 429.*slow down"),
        (in_choice({"message": "Upstream broke", "code": 502}), "error 502.*Upstream broke"),
        ({"error": "overloaded, try again"}, "error 503.*overloaded"),
        ([{"error": {"status": "RESOURCE_EXHAUSTED", "message": "exhausted"}}], "error 429.*exhausted"),
        ({"error": {"message": "something odd"}}, "error 500.*something odd"),
        (
            Stream(
                (), finish=None, usage=False, done=False, last=b'data: {"error": {"code": 429, "message": "q"}}\n\n'
            ),
            "429",
        ),
        (Stream(("hel",), finish=None, done=False, last=b'data: {"error": {"code": 503, "message": "q"}}\n\n'), "503"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_may_pass_is_tried_again_and_then_pauses_the_run(
    open_chat_to: MakeChat, chat_server: ChatServer, body: Any, line: str
) -> None:
    failing = body if isinstance(body, Stream) else as_json(body)
    chat_server.script = [failing, "hello"]
    assert ask(open_chat_to()).failed_calls == 1
    chat_server.script = [failing]
    with pytest.raises(RunPaused, match=line):
        ask(open_chat_to(retries=1))


def test_no_credit_in_a_stream_ends_the_run(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("a",), finish=None, last=b'data: {"error": {"code": 402, "message": "none"}}\n\n')]
    with pytest.raises(ChatError, match="no credit left"):
        ask(open_chat_to())


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "x"}}], "error": None},
        {"choices": [{"message": {"content": "x"}, "error": {}}], "error": ""},
        {"choices": [{"delta": {"content": "x"}}], "msg": "success", "code": 200},
        {"choices": []},
        7,
    ],
    ids=str,
)
def test_an_answer_is_no_error(body: Any) -> None:
    assert error_in(body) is None


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        ({"errors": [{"code": 10000, "message": "Authentication error"}]}, "Authentication error", 401),
        ({"error": {"error": {"message": "deep"}}}, "deep", None),
        ("<html>busy</html>", "", None),
        ({"code": True, "message": "x"}, "x", None),
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra"}]}, "body.seed: Extra", None),
        (
            {"message": "Provider returned error", "code": 400, "metadata": {"raw": "no seed"}},
            "Provider returned error (no seed)",
            400,
        ),
        ({}, "", None),
        ({"odd": 1}, '{"odd": 1}', None),
    ],
    ids=str,
)
def test_an_error_of_any_form_has_a_message_and_perhaps_a_status(error: Any, message: str, status: int | None) -> None:
    assert message_of(error) == message
    assert status_of(error) == status
