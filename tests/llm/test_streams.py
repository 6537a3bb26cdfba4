"""The same faults from a server that streams: each ends as it does from one that does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from autoprune.errors import ChatError, RunPaused
from autoprune.llm.client import Chat
from autoprune.llm.reply import ReplyUnusable
from autoprune.llm.transport import MAX_BODY_BYTES
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Alive, Drip, Hang, Status, Stream, as_json

QUESTION = [{"role": "user", "content": "Say hello."}]
HELLO = Stream(("hel", "lo"))
MakeChat = Callable[..., Chat]


class Thought(BaseModel):
    idea: str


def ask(chat: Chat, schema: type[BaseModel] | None = None, key: str = "k") -> Any:
    return chat.ask(key, "proposer", QUESTION, schema)


def test_a_stream_is_joined_with_its_usage(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [HELLO]
    reply = ask(open_chat_to())
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.truncated) == ("hello", 7, 5, False)


@pytest.mark.parametrize(
    "fault",
    [
        Status(429, {"retry-after": "0"}),
        Status(500),
        Stream(("hel",), finish=None, usage=False, done=False),
        Stream(("hel",), finish=None, usage=False, done=False, reset=True),
        Stream(("hel",), finish=None, usage=False, done=False, last=b'data: {"error": {"message": "overloaded"}}\n\n'),
    ],
    ids=["429", "500", "broken-off", "reset", "error-event"],
)
def test_a_stream_that_fails_is_asked_for_again(open_chat_to: MakeChat, chat_server: ChatServer, fault: Any) -> None:
    chat_server.script = [fault, HELLO]
    reply = ask(open_chat_to())
    assert (reply.text, reply.calls, reply.failed_calls) == ("hello", 1, 1)


@pytest.mark.parametrize(
    "fault",
    [
        Stream((), finish=None, usage=False),
        Stream((), finish=None, usage=False, last=b"<html>busy</html>\n"),
        Stream(("hel",), last=b'data: {"choi\n\n'),
    ],
    ids=["empty", "html", "half-an-event"],
)
def test_a_stream_that_is_no_completion_stops_the_first_call_and_is_asked_for_again_later(
    open_chat_to: MakeChat, chat_server: ChatServer, fault: Any
) -> None:
    chat_server.script = [fault]
    with pytest.raises(ChatError, match="event stream"):
        ask(open_chat_to())
    chat_server.requests.clear()
    chat_server.script = [HELLO, fault, HELLO]
    chat = open_chat_to()
    ask(chat, key="a")
    assert ask(chat, key="b").failed_calls == 1


def test_a_stream_has_one_deadline_however_steadily_it_comes(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("x",) * 10_000, pause=0.02)]
    with pytest.raises(RunPaused, match="did not answer in time"):
        ask(open_chat_to(timeout=1.0, retries=0))


def test_a_slow_stream_within_the_deadline_is_fine(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("hel", "lo"), pause=0.02)]
    assert ask(open_chat_to(timeout=60)).text == "hello"


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (Stream(("",)), "empty"),
        (Stream(('{"idea": "a lo',), finish="length"), "cut off"),
        (Stream(('{"thought": ', '"wrong"}')), "idea"),
        (Stream(("我不", "知道。")), "no complete JSON object"),
    ],
    ids=["empty", "truncated", "wrong-schema", "wrong-language"],
)
def test_a_streamed_reply_of_no_use_is_repaired_once_and_then_fails_the_question(
    open_chat_to: MakeChat, chat_server: ChatServer, stream: Stream, problem: str
) -> None:
    chat_server.script = [stream]
    with pytest.raises(ReplyUnusable, match=problem):
        ask(open_chat_to(), Thought)
    assert len(chat_server.requests) == 2
    chat_server.requests.clear()
    chat_server.script = [stream, Stream((json.dumps({"idea": "x"}),))]
    assert ask(open_chat_to(), Thought, key="other").parsed == Thought(idea="x")


def test_a_stream_without_usage_is_estimated_and_marked(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("x" * 40,), usage=False)]
    chat = open_chat_to()
    assert ask(chat).tokens_out == 10
    assert chat.usage["proposer"].estimated


def test_a_huge_stream_is_not_read_to_its_end(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("x" * 1_000_000,) * (2 * MAX_BODY_BYTES // 1_000_000))]
    with pytest.raises(ReplyUnusable, match="larger than 8 MiB"):
        ask(open_chat_to(timeout=60))


def test_a_stream_that_was_asked_for_may_take_longer_than_the_time_out(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    chat_server.script = [Stream(("x",) * 40, pause=0.05)]
    reply = ask(open_chat_to(timeout=1.0, retries=0, streams=True))
    assert (reply.text, reply.tokens_in, reply.tokens_out) == ("x" * 40, 7, 5)
    assert reply.seconds > 1.0


@pytest.mark.parametrize(
    "silent",
    [Hang(), Stream(("a", "b"), pause=3.0), Alive(0.05), Drip("hello", 0.02)],
    ids=["no-answer", "between-tokens", "comments-only", "no-stream"],
)
def test_the_silence_of_a_stream_is_bounded(open_chat_to: MakeChat, chat_server: ChatServer, silent: Any) -> None:
    chat_server.script = [silent]
    with pytest.raises(RunPaused, match="did not answer in time"):
        ask(open_chat_to(timeout=0.4, retries=0, streams=True))


def test_a_stream_is_asked_for_with_its_usage_and_its_progress(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    progress = (
        b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}], "prompt_progress": {"total": 9}}\n\n'
    )
    chat_server.script = [Stream(("{", '"idea": "x"}'), last=progress)]
    assert ask(open_chat_to(streams=True, reports_progress=True), Thought).parsed == Thought(idea="x")
    ask(open_chat_to(streams=True), key="other")
    ask(open_chat_to(), key="another")
    names = ("stream", "stream_options", "return_progress")
    sent = [[request.get(name) for name in names] for request in chat_server.requests]
    assert sent == [[True, {"include_usage": True}, True], [True, {"include_usage": True}, None], [False, None, None]]
    assert "response_format" in chat_server.requests[0]


@pytest.mark.parametrize(
    ("refused", "left"), [("stream_options", {"stream"}), ("stream", set())], ids=["stream_options", "stream"]
)
def test_a_stream_that_is_refused_is_done_without(
    open_chat_to: MakeChat, chat_server: ChatServer, refused: str, left: set[str]
) -> None:
    refusal = as_json({"error": {"message": f"Unsupported parameter: '{refused}'"}}, 400)
    chat_server.script = lambda body: refusal if body.get(refused) else "hello"
    assert ask(open_chat_to(streams=True)).failed_calls == 1
    last = chat_server.requests[-1]
    assert {name for name in ("stream", "stream_options") if last.get(name)} == left


def test_a_server_that_does_not_stream_although_it_was_asked_to_is_understood(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    assert ask(open_chat_to(streams=True)).text == "hello"


UNREADABLE = {
    "without content": Stream((), finish=None, usage=False),
    "half an event": Stream(("hel",), last=b'data: {"choi\n\n'),
    "without an end": Stream(("hel",), finish=None, usage=False, done=False),
}


@pytest.mark.parametrize("proven", [False, True], ids=["new", "resumed"])
@pytest.mark.parametrize("stream", UNREADABLE.values(), ids=UNREADABLE)
def test_an_endpoint_whose_first_stream_cannot_be_read_is_asked_for_none_from_then_on(
    open_chat_to: MakeChat, chat_server: ChatServer, logged: list[str], stream: Stream, proven: bool
) -> None:
    chat_server.script = lambda body: stream if body["stream"] else "hello"
    chat = open_chat_to(streams=True, retries=0, proven=proven)
    assert ask(chat).text == ask(chat, key="other").text == "hello"
    assert [request["stream"] for request in chat_server.requests] == [True, False, False]
    assert len(logged) == 1
    assert "refuses stream" in logged[0]


@pytest.mark.parametrize("stream", UNREADABLE.values(), ids=UNREADABLE)
def test_an_endpoint_that_has_streamed_before_is_asked_for_a_stream_again(
    open_chat_to: MakeChat, chat_server: ChatServer, stream: Stream
) -> None:
    chat_server.script = [HELLO, stream, HELLO]
    chat = open_chat_to(streams=True)
    ask(chat)
    assert ask(chat, key="other").failed_calls == 1
    assert [request["stream"] for request in chat_server.requests] == [True] * 3


def test_what_is_no_completion_either_way_is_a_wrong_address(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [UNREADABLE["without content"]]
    with pytest.raises(ChatError, match="is the address right"):
        ask(open_chat_to(streams=True))
    assert [request["stream"] for request in chat_server.requests] == [True, False]
