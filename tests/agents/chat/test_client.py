import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from autoprune.agents.chat.client import Chat
from autoprune.agents.chat.parse import MAX_REPLY_CHARS
from autoprune.agents.chat.reply import ReplyUnusable, Usage, recorded_usage
from autoprune.agents.chat.transport import MAX_BODY_BYTES
from autoprune.errors import ChatError, RunPaused
from tests.agents.chat.conftest import DiskJournal
from tests.agents.chat.faulty_server import (
    Answer,
    ChatServer,
    Drip,
    Hang,
    Huge,
    Raw,
    Reset,
    Status,
    Stream,
)

QUESTION = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Say hello."}]
MakeChat = Callable[..., Chat]


class Thought(BaseModel):
    idea: str
    weight: float


GOOD = {"idea": "scale by variance", "weight": 0.5}


def ask(chat: Chat, schema: type[BaseModel] | None = None, key: str = "g1.c1.propose.0") -> Any:
    return chat.ask(key, "proposer", QUESTION, schema)


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
    open_chat_to: MakeChat, chat_server: ChatServer, fault: Any, wait: float | None
) -> None:
    naps: list[float] = []
    lines: list[str] = []
    chat_server.script = [fault, "hello"]
    reply = ask(open_chat_to(sleep=naps.append, notify=lines.append))
    assert (reply.text, reply.calls, reply.failed_calls) == ("hello", 1, 1)
    assert len(naps) == 1
    assert naps[0] == wait if wait is not None else 0 < naps[0] <= 2.0
    assert len(lines) == 1
    assert "trying again" in lines[0]


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
    chat._http.close()  # the kept-alive connection outlives the server's listener
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


def test_huge_body_is_not_read_and_fails_the_question(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Huge(4 * MAX_BODY_BYTES)]
    chat = open_chat_to(timeout=30)
    with pytest.raises(ReplyUnusable, match="larger than 8 MiB"):
        ask(chat)
    assert chat.usage["proposer"].failed_calls == 1


def test_reply_is_cleaned(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = ["a\x00b\x1b[31mc\ud800d\u202ee\r\nf\tg"]
    assert ask(open_chat_to()).text == "ab[31mcde\nf\tg"


def test_server_that_streams_unasked_is_understood(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [Stream(("hel", "lo"))]
    reply = ask(open_chat_to())
    assert (reply.text, reply.tokens_out) == ("hello", 5)


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


def test_journalled_reply_is_replayed_without_asking(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = [{"idea": 1}, GOOD]
    first = ask(open_chat_to(journal=journal), Thought)
    resumed = open_chat_to(journal=journal)
    second = ask(resumed, Thought)
    assert second == first.model_copy(update={"replayed": True})
    assert resumed.usage == {}
    assert len(chat_server.requests) == 2


def test_journalled_failure_is_replayed_as_failure(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = ["nonsense"]
    for _ in range(2):
        with pytest.raises(ReplyUnusable) as caught:
            ask(open_chat_to(journal=journal), Thought)
        assert caught.value.usage.calls == 2
    assert len(chat_server.requests) == 2


def test_kill_between_reply_and_repair_loses_only_the_repair(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    class Killed(BaseException):
        pass

    def kill_second(role: str) -> None:
        if chat_server.requests:
            raise Killed

    chat_server.script = ["nonsense", GOOD]
    with pytest.raises(Killed):
        ask(open_chat_to(journal=journal, before_call=kill_second), Thought)
    reply = ask(open_chat_to(journal=journal), Thought)
    assert (reply.calls, reply.failed_calls) == (2, 1)
    assert len(chat_server.requests) == 2


def test_cost_is_counted_once_over_pauses_and_changed_questions(
    open_chat_to: MakeChat, chat_server: ChatServer, journal: DiskJournal
) -> None:
    chat_server.script = ["hello", Status(500), "changed"]
    chat = open_chat_to(journal=journal, retries=0, price=lambda *_: 1.0)
    ask(chat)
    with pytest.raises(RunPaused):
        chat.ask("g1.c1.propose.0", "proposer", [{"role": "user", "content": "Another question."}])
    spent = recorded_usage(journal.values())
    assert spent == chat.usage
    resumed = open_chat_to(journal=journal, price=lambda *_: 1.0, spent=spent)
    resumed.ask("g1.c1.propose.0", "proposer", [{"role": "user", "content": "Another question."}])
    total = resumed.usage["proposer"]
    assert (total.calls, total.failed_calls, total.usd) == (2, 1, 2.0)
    assert recorded_usage(journal.values())["proposer"] == total


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
    ask(open_chat_to(turn=turn, sleep=lambda seconds: held.append(turn.locked())))
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
    from autoprune.agents.chat.client import Endpoint

    endpoint = Endpoint(base_url=chat_server.base_url, model="m", api_key="sk-secret")
    with contextlib.closing(Chat(endpoint)) as chat:
        ask(chat)
    assert chat_server.headers[0]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(endpoint)
