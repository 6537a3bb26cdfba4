"""The same faults from a server that streams: each ends as it does from one that does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from autoprune.agents.chat.client import Chat
from autoprune.agents.chat.reply import ReplyUnusable
from autoprune.agents.chat.transport import MAX_BODY_BYTES
from autoprune.errors import ChatError, RunPaused
from tests.agents.chat.faulty_server import ChatServer, Status, Stream

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
