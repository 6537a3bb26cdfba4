"""Tools called by the model: a bounded loop against a real server, answered, replayed, and done without."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from autoprune.llm.client import Chat
from autoprune.llm.reply import ReplyUnusable
from autoprune.llm.tools import LONGEST_RESULT, Tool, Toolbox, ToolCall
from tests.llm.asking import Killed, killed_after_the_first_call
from tests.llm.conftest import DiskJournal
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Calls, Raw, Status

QUESTION = [{"role": "user", "content": "Think."}]
MakeChat = Callable[..., Chat]


class Thought(BaseModel):
    idea: str


class Look(BaseModel):
    place: str
    limit: int = Field(5, ge=1, le=9)


@pytest.fixture
def asked() -> list[Look]:
    return []


@pytest.fixture
def toolbox(asked: list[Look]) -> Toolbox:
    def look(request: Look) -> str:
        asked.append(request)
        return f"{request.limit} things in {request.place}\x00"

    return Toolbox((Tool("look", "Looks somewhere.", Look, look),), rounds=2)


GOOD = json.dumps({"idea": "x"})


def ask(chat: Chat, toolbox: Toolbox | None) -> Any:
    return chat.ask("k", "proposer", QUESTION, Thought, toolbox=toolbox)


def test_calls_are_answered_and_then_the_model_answers(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, asked: list[Look]
) -> None:
    chat_server.script = [Calls((("look", '{"place": "attic"}'), ("look", '{"place": "cellar", "limit": 2}'))), GOOD]
    reply = ask(open_chat_to(), toolbox)
    assert (reply.parsed, reply.calls, reply.failed_calls, reply.tokens_in) == (Thought(idea="x"), 2, 0, 14)
    assert asked == [Look(place="attic"), Look(place="cellar", limit=2)]
    assert chat_server.requests[0]["tools"][0]["function"]["parameters"] == Look.model_json_schema()
    said = chat_server.requests[1]["messages"][1:]
    assert [call["id"] for call in said[0]["tool_calls"]] == ["id0", "id1"]
    assert [(m["role"], m["tool_call_id"], m["content"]) for m in said[1:]] == [
        ("tool", "id0", "5 things in attic"),
        ("tool", "id1", "2 things in cellar"),
    ]


def test_a_model_that_never_stops_calling_is_asked_without_tools_in_the_end(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, asked: list[Look]
) -> None:
    chat_server.script = [Calls((("look", '{"place": "attic"}'),))]
    with pytest.raises(ReplyUnusable, match="empty"):
        ask(open_chat_to(), toolbox)
    assert ["tools" in request for request in chat_server.requests] == [True, True, False, False]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (("lok", "{}"), "there is no tool 'lok'; there are: look"),
        (("look", "{}"), "place: Field required"),
        (("look", '{"place": "attic", "limit": 99}'), "limit: Input should be less than or equal to 9"),
        (("look", '{"place": '), "the arguments are no JSON object"),
        (("look", "[1]"), "the arguments are no JSON object"),
    ],
    ids=["unknown", "missing", "out-of-range", "broken", "list"],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, asked: list[Look], call: Any, answer: str
) -> None:
    chat_server.script = [Calls((call,)), GOOD]
    assert ask(open_chat_to(), toolbox).parsed == Thought(idea="x")
    assert chat_server.requests[1]["messages"][-1]["content"] == answer
    assert asked == []


def test_a_tool_with_a_limit_of_its_own_is_called_no_more_often(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, asked: list[Look], journal: DiskJournal
) -> None:
    limited = replace(toolbox, tools=tuple(replace(tool, most=3) for tool in toolbox.tools), rounds=3)
    look = ("look", '{"place": "attic"}')
    chat_server.script = [Calls((look, look)), Calls((look, look)), GOOD]
    with pytest.raises(Killed):
        ask(open_chat_to(journal=journal, before_call=killed_after_the_first_call(chat_server)), limited)
    ask(open_chat_to(journal=journal), limited)
    results = [message["content"] for message in chat_server.requests[-1]["messages"] if message["role"] == "tool"]
    assert results == ["5 things in attic"] * 3 + ["look can be called 3 times before an answer, and was; answer now"]
    assert len(asked) == 3


def test_a_call_is_shown_in_a_line_without_long_arguments() -> None:
    call = ToolCall(id="0", name="look", arguments={"place": "attic", "code": "a\nb", "long": "x" * 200}, result="")
    assert str(call) == "look(place=attic, code=3 characters, long=200 characters)"


def test_answers_are_bounded_in_size_and_number(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    toolbox = Toolbox((Tool("look", "", Look, lambda request: "x" * 10 * LONGEST_RESULT),), rounds=1)
    chat_server.script = [Calls((("look", '{"place": "attic"}'),) * 50), GOOD]
    ask(open_chat_to(), toolbox)
    answers = [m["content"] for m in chat_server.requests[1]["messages"] if m["role"] == "tool"]
    assert len(answers) == 8
    assert {len(answer) for answer in answers} == {LONGEST_RESULT}


def test_a_resumed_run_replays_calls_and_answers_without_asking_or_looking_again(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, asked: list[Look], journal: DiskJournal
) -> None:
    chat_server.script = [Calls((("look", '{"place": "attic"}'),)), GOOD]
    with pytest.raises(Killed):
        ask(open_chat_to(journal=journal, before_call=killed_after_the_first_call(chat_server)), toolbox)
    reply = ask(open_chat_to(journal=journal), toolbox)
    assert (reply.parsed, reply.calls) == (Thought(idea="x"), 2)
    assert ask(open_chat_to(journal=journal), toolbox).replayed
    assert (len(chat_server.requests), len(asked)) == (2, 1)


@pytest.mark.parametrize(
    "message", ["Unsupported parameter: 'tools'", '"auto" tool choice requires --enable-auto-tool-choice to be set']
)
def test_an_endpoint_that_knows_no_tools_is_asked_without(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, message: str
) -> None:
    chat_server.script = lambda body: Status(400, message=message) if "tools" in body else GOOD
    reply = ask(open_chat_to(), toolbox)
    assert (reply.parsed, reply.failed_calls) == (Thought(idea="x"), 1)


def test_calls_that_nobody_offered_are_an_empty_reply(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Calls((("look", "{}"),)), GOOD]
    reply = ask(open_chat_to(), None)
    assert (reply.parsed, reply.failed_calls) == (Thought(idea="x"), 1)


@pytest.mark.parametrize(
    "calls",
    [b'"look"', b"[5]", b"[{}]", b'[{"function": null}]', b'[{"function": {"name": 7}}]'],
    ids=lambda value: value.decode(),
)
def test_calls_of_no_known_form_are_passed_over(
    open_chat_to: MakeChat, chat_server: ChatServer, toolbox: Toolbox, calls: bytes
) -> None:
    message = b'{"role": "assistant", "content": "{\\"idea\\": \\"x\\"}", "tool_calls": ' + calls + b"}"
    chat_server.script = [Raw(b'{"choices": [{"index": 0, "finish_reason": "stop", "message": ' + message + b"}]}")]
    assert ask(open_chat_to(), toolbox).parsed == Thought(idea="x")
