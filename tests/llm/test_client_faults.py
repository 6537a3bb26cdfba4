"""What the chat client does when an endpoint fails, lies, hangs or goes away."""

import time
from typing import Any

import pytest

from autoprune.errors import ChatError, RunPaused
from autoprune.llm.reply import ReplyUnusable, Usage
from autoprune.llm.transport import MAX_BODY_BYTES
from tests.llm.asking import GOOD, QUESTION, MakeChat, Thought, ask
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Drip, Hang, Huge, Raw, Reset, Status


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (Status(429, {"retry-after": "7"}), 7.0),
        (Status(429), None),
        (Status(500), None),
        (Status(503), None),
        (Status(408), None),
        (Reset(), None),
    ],
    ids=lambda value: repr(value),
)
def test_passing_fault_is_tried_again(
    open_chat_to: MakeChat, chat_server: ChatServer, fault: Any, wait: float | None, logged: list[str]
) -> None:
    naps: list[float] = []
    chat_server.script = [fault, "hello"]
    reply = ask(open_chat_to(sleep=naps.append))
    assert (reply.text, reply.calls, reply.failed_calls) == ("hello", 1, 1)
    assert len(naps) == 1
    assert naps[0] == wait if wait is not None else 0 < naps[0] <= 2.0
    assert len(logged) == 1
    assert "trying again" in logged[0]


@pytest.mark.parametrize("fault", [Hang(), Drip("hello", 0.02)], ids=["hang", "drip"])
def test_reply_has_one_deadline_however_slowly_it_comes(
    open_chat_to: MakeChat, chat_server: ChatServer, fault: Any
) -> None:
    chat_server.script = [fault]
    started = time.monotonic()
    with pytest.raises(RunPaused, match="did not answer in time"):
        ask(open_chat_to(timeout=0.3, retries=1))
    assert time.monotonic() - started < 3
    assert len(chat_server.requests) == 2


def test_slow_reply_within_the_deadline_is_fine(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Drip("hi", 0.001)]
    assert ask(open_chat_to()).text == "hi"


def test_endless_failures_pause_the_run_and_say_how_to_go_on(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = ["hello", Status(503, message="overloaded")]
    chat = open_chat_to(retries=2)
    ask(chat, key="a")
    with pytest.raises(RunPaused, match=r"failed 3 times in a row.*overloaded.*autoprune resume") as caught:
        ask(chat, key="b")
    assert "\n" not in str(caught.value)
    assert chat.usage["proposer"].failed_calls == 3


def test_endpoint_that_asks_for_a_long_wait_pauses_at_once(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Status(429, {"retry-after": "3600"})]
    with pytest.raises(RunPaused, match="failed once"):
        ask(open_chat_to())
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Status(401, message="bad key"), "OPENAI_API_KEY"),
        (Status(403), "OPENAI_API_KEY"),
        (Status(404, message="no such model"), "llm.model"),
        (Status(429, error_code="insufficient_quota"), "no credit"),
        (Raw(b"<html><body>login</body></html>", "text/html"), "HTML page"),
        (Raw(b""), "empty body"),
        (Raw(b'{"choices": []}'), "no chat completion"),
        (Raw(b'{"choices": [{"message": {"content": 5}}]}'), "no text"),
        (Status(400, message="no"), "HTTP 400"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_wrong_setting_ends_at_once_with_a_line_naming_it(
    open_chat_to: MakeChat, chat_server: ChatServer, fault: Any, hint: str
) -> None:
    chat_server.script = [fault]
    with pytest.raises(ChatError, match=hint) as caught:
        ask(open_chat_to())
    assert chat_server.base_url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize(
    "fault", [Raw(b"<html>busy</html>", "text/html"), Raw(b'{"id": "x", "cho'), Raw(b"")], ids=["html", "half", "empty"]
)
def test_broken_body_in_mid_run_is_tried_again(open_chat_to: MakeChat, chat_server: ChatServer, fault: Any) -> None:
    chat_server.script = ["hello", fault, "again"]
    chat = open_chat_to()
    ask(chat, key="a")
    reply = ask(chat, key="b")
    assert (reply.text, reply.failed_calls) == ("again", 1)


def test_nobody_listening_is_said_in_one_line(open_chat_to: MakeChat) -> None:
    with pytest.raises(ChatError, match=r"127\.0\.0\.1:9.*cannot connect"):
        ask(open_chat_to(base_url="http://127.0.0.1:9/v1"))


def test_endpoint_that_goes_down_in_mid_run_pauses(chat_server: ChatServer, open_chat_to: MakeChat) -> None:
    with ChatServer(["hello"]) as other:
        chat = open_chat_to(base_url=other.base_url, retries=1)
        ask(chat, key="a")
    chat.close()  # the kept-alive connection outlives the server's listener
    chat = open_chat_to(base_url=other.base_url, retries=1)
    chat._answered = True
    with pytest.raises(RunPaused, match="cannot connect"):
        ask(chat, key="b")


def test_malformed_reply_is_repaired_once_and_the_error_is_quoted(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    chat_server.script = [{"idea": "x", "weight": "heavy"}, GOOD]
    chat = open_chat_to()
    reply = ask(chat, Thought)
    assert reply.parsed == Thought.model_validate(GOOD)
    assert (reply.calls, reply.failed_calls, reply.tokens_in, reply.tokens_out) == (2, 1, 14, 10)
    repair = chat_server.requests[1]["messages"]
    assert repair[:2] == QUESTION
    assert repair[2]["role"] == "assistant"
    assert "weight: Input should be a valid number" in repair[3]["content"]
    assert chat.usage["proposer"] == Usage(
        calls=2, failed_calls=1, tokens_in=14, tokens_out=10, usd=None, seconds=reply.seconds
    )


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer('{"idea": "a long', finish_reason="length"), "cut off"),
        (Answer("I cannot do that."), "no complete JSON object"),
        (Answer("我不知道。"), "no complete JSON object"),
        (Answer(""), "empty"),
        (Answer(None), "empty"),
        (Answer('{"thought": "wrong schema"}'), "idea"),
    ],
    ids=["truncated", "refusal", "wrong-language", "empty", "null", "wrong-schema"],
)
def test_reply_unusable_twice_fails_the_question_and_is_paid_for(
    open_chat_to: MakeChat, chat_server: ChatServer, answer: Answer, problem: str
) -> None:
    chat_server.script = [answer]
    chat = open_chat_to(price=lambda *_: 0.25)
    with pytest.raises(ReplyUnusable, match=problem) as caught:
        ask(chat, Thought)
    assert caught.value.raw == (answer.text or "")
    assert caught.value.usage == chat.usage["proposer"]
    assert (caught.value.usage.calls, caught.value.usage.failed_calls, caught.value.usage.usd) == (2, 2, 0.5)


def test_huge_body_is_not_read_and_fails_the_question(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Huge(4 * MAX_BODY_BYTES)]
    chat = open_chat_to(timeout=30)
    with pytest.raises(ReplyUnusable, match="larger than 8 MiB"):
        ask(chat)
    assert chat.usage["proposer"].failed_calls == 1


@pytest.mark.parametrize("parameter", ["max_tokens", "temperature", "response_format", "seed"])
def test_refused_parameter_is_left_out_from_then_on(
    open_chat_to: MakeChat, chat_server: ChatServer, parameter: str
) -> None:
    def script(body: dict[str, Any]) -> Any:
        return Status(400, message=f"Unsupported parameter: '{parameter}'") if parameter in body else GOOD

    chat_server.script = script
    chat = open_chat_to(seed=1)
    assert ask(chat, Thought, key="a").failed_calls == 1
    assert ask(chat, Thought, key="b").failed_calls == 0
    assert len(chat_server.requests) == 3


def test_question_the_endpoint_rejects_fails_alone_once_others_were_answered(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    chat_server.script = ["hello", Status(400, message="prompt is too long"), "hello"]
    chat = open_chat_to()
    ask(chat, key="a")
    with pytest.raises(ReplyUnusable, match="too long"):
        ask(chat, key="b")
    assert ask(chat, key="c").text == "hello"


def test_reply_that_its_own_server_cannot_read_costs_one_question_and_is_not_asked_for_again(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    broken = Status(500, message="The model produced output that does not match the expected peg-native format")
    chat_server.script = [broken, "hello"]
    chat = open_chat_to()
    with pytest.raises(ReplyUnusable, match="does not match"):
        ask(chat, key="a")
    assert ask(chat, key="b").text == "hello"
    assert len(chat_server.requests) == 2
