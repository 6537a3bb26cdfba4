import contextlib
import json
import threading
from typing import Any

import pytest

from autoprune.llm.client import Chat
from autoprune.llm.parse import MAX_REPLY_CHARS
from tests.llm.asking import GOOD, QUESTION, MakeChat, Thought, ask
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Status, Stream


def test_plain_reply_comes_with_its_usage(open_chat_to: MakeChat) -> None:
    reply = ask(open_chat_to(price=lambda model, tokens_in, tokens_out: tokens_in * 1.0 + tokens_out * 2.0))
    assert (reply.text, reply.model, reply.tokens_in, reply.tokens_out, reply.usd) == ("hello", "m", 7, 5, 17.0)
    assert (reply.calls, reply.failed_calls, reply.truncated, reply.replayed) == (1, 0, False, False)
    assert reply.seconds > 0


def test_request_names_the_token_limit_twice_and_the_schema_once(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    chat_server.script = [GOOD]
    open_chat_to(seed=3).ask("k", "critic", QUESTION, Thought, max_tokens=33, temperature=0.1)
    sent = chat_server.requests[0]
    assert sent["max_tokens"] == sent["max_completion_tokens"] == 33
    assert sent["temperature"] == 0.1
    assert sent["response_format"]["json_schema"]["schema"] == Thought.model_json_schema()
    assert sent["messages"] == QUESTION
    assert isinstance(sent["seed"], int)


def test_reply_is_parsed_into_the_schema(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = ["Sure!\n```json\n" + json.dumps(GOOD) + "\n```"]
    assert ask(open_chat_to(), Thought).parsed == Thought(idea="scale by variance", weight=0.5)


def test_truncated_plain_text_is_kept_and_marked(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Answer("```python\ndef score(", finish_reason="length")]
    reply = ask(open_chat_to())
    assert reply.truncated
    assert reply.text.endswith("def score(")


def test_missing_usage_is_estimated_and_marked(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Answer("x" * 40, usage=False)]
    chat = open_chat_to()
    reply = ask(chat)
    assert (reply.tokens_in, reply.tokens_out) == (4, 10)
    assert chat.usage["proposer"].estimated


def test_huge_text_is_cut(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = ["x" * (MAX_REPLY_CHARS + 1)]
    reply = ask(open_chat_to())
    assert len(reply.text) == MAX_REPLY_CHARS
    assert reply.truncated


def test_reply_is_cleaned(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = ["a\x00b\x1b[31mc\ud800d\u202ee\r\nf\tg"]
    assert ask(open_chat_to()).text == "ab[31mcde\nf\tg"


def test_server_that_streams_unasked_is_understood(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("hel", "lo"))]
    reply = ask(open_chat_to())
    assert (reply.text, reply.tokens_out) == ("hello", 5)


def test_budget_is_asked_before_every_call(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    class Spent(Exception):
        pass

    asked: list[str] = []

    def budget(role: str) -> None:
        asked.append(role)
        if len(asked) == 3:
            raise Spent

    chat_server.script = [Status(500), {"idea": 1}, GOOD]
    with pytest.raises(Spent):
        ask(open_chat_to(before_call=budget), Thought)
    assert asked == ["proposer"] * 3
    assert len(chat_server.requests) == 2


def test_turn_is_held_during_calls_and_free_between_tries(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    turn = threading.Lock()
    held: list[bool] = []

    def script(body: dict[str, Any]) -> Any:
        held.append(turn.locked())
        return Status(500) if len(held) == 1 else "hello"

    chat_server.script = script
    ask(open_chat_to(lock=turn, sleep=lambda seconds: held.append(turn.locked())))
    assert held == [True, False, True]
    assert not turn.locked()


def test_usage_is_counted_per_role_and_across_threads(open_chat_to: MakeChat) -> None:
    chat = open_chat_to(price=lambda *_: None)
    jobs = [
        threading.Thread(target=chat.ask, args=(f"{role}{number}", role, QUESTION))
        for role in ("proposer", "critic")
        for number in range(8)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert {role: usage.calls for role, usage in chat.usage.items()} == {"proposer": 8, "critic": 8}
    assert chat.usage["critic"].usd is None


def test_seed_depends_on_the_key_and_the_run_only(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    for key in ("a", "b", "a"):
        with contextlib.closing(open_chat_to(seed=1)) as chat:
            ask(chat, key=key)
    seeds = [request["seed"] for request in chat_server.requests]
    assert seeds[0] == seeds[2] != seeds[1]


def test_key_is_sent_as_a_bearer_and_never_shown(chat_server: ChatServer) -> None:
    from autoprune.llm.endpoint import Endpoint

    endpoint = Endpoint(base_url=chat_server.base_url, model="m", api_key="sk-secret")
    with contextlib.closing(Chat(endpoint)) as chat:
        ask(chat)
    assert chat_server.headers[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(endpoint)


def test_a_slow_endpoint_is_asked_for_shorter_replies_once_its_speed_is_known(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    chat = open_chat_to(patience=0.001)
    for key in ("a", "b"):
        chat.ask(key, "proposer", [{"role": "user", "content": "x"}])
    assert [request["max_tokens"] for request in chat_server.requests] == [700, 400]


def test_a_limit_by_speed_is_said_once_and_leaves_room_for_a_candidate(
    open_chat_to: MakeChat, chat_server: ChatServer, logged: list[str]
) -> None:
    chat = open_chat_to(patience=0.001, fewest_tokens=600)
    for key in ("a", "b", "c"):
        chat.ask(key, "proposer", [{"role": "user", "content": "x"}])
    assert [request["max_tokens"] for request in chat_server.requests] == [700, 600, 600]
    assert len(logged) == 1
    assert logged[0].endswith("tokens per second: replies are limited to 600")


def test_a_fast_endpoint_may_write_as_much_as_the_settings_say(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat = open_chat_to(patience=1e6)
    for key in ("a", "b"):
        chat.ask(key, "proposer", [{"role": "user", "content": "x"}])
    assert [request["max_tokens"] for request in chat_server.requests] == [700, 700]
