"""Chat completions with liberties: each is read, or refused in one line, and none is a traceback."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoprune.llm.completion import BrokenOff, ErrorInside, NotAChatReply, read_completion
from autoprune.llm.reply import ReplyUnusable
from tests.llm.asking import MakeChat, Thought, ask
from tests.llm.faulty_server import ChatServer
from tests.llm.replies import Answer, Stream, as_json, completion

TEXT = {"type": "text", "text": "hello"}


def with_message(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message}]}


@pytest.mark.parametrize(
    "body",
    [
        with_message(content="hello"),
        with_message(role=None, content="hello"),
        with_message(role="model", content="hello"),
        with_message(role=["assistant"], content="hello", refusal=7, tool_calls=None, annotations=3),
        with_message(role="assistant", content=[TEXT]),
        with_message(role="assistant", content=[{"type": "text", "text": "hel"}, "lo", {"type": "image_url"}, None]),
        with_message(role="assistant", content=[{"type": "output_text", "text": {"value": "hello"}}]),
        with_message(role="assistant", content=TEXT),
        with_message(role="assistant", content=None, refusal="hello"),
        {
            "choices": [{"message": {"content": "hello"}, "finish_reason": ["stop"], "index": "x"}],
            "model": 5,
            "id": None,
        },
        {"choices": [{"text": "hello", "finish_reason": "stop"}]},
        {"choices": [{"message": "hello"}]},
        {**with_message(content="hello"), "error": {"message": "", "code": None}, "code": 200, "message": "success"},
        {**with_message(content="hello"), "base_resp": {"status_code": 0, "status_msg": "success"}, "errors": []},
        {"choices": [{"delta": {"content": "hello"}, "finish_reason": None}]},
        {"choices": [{"message": {"content": "hello"}}, {"message": None}], "created": "now", "usage": "many"},
    ],
    ids=lambda body: str(body["choices"][0])[:60],
)
def test_an_answer_in_any_form_is_read(open_chat_to: MakeChat, chat_server: ChatServer, body: dict[str, Any]) -> None:
    chat_server.script = [as_json(body)]
    reply = ask(open_chat_to())
    assert (reply.text, reply.failed_calls, reply.truncated) == ("hello", 0, False)


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "model_length"])
def test_a_reply_that_was_cut_off_is_marked_whatever_that_is_called(
    open_chat_to: MakeChat, chat_server: ChatServer, finish: str
) -> None:
    chat_server.script = [Answer("hello", finish_reason=finish)]
    assert ask(open_chat_to()).truncated


def test_an_object_in_place_of_text_is_its_json() -> None:
    body = as_json(with_message(content={"idea": "x"})).body
    assert read_completion(body, "application/json")["choices"][0]["message"]["content"] == '{"idea": "x"}'


def test_a_byte_order_mark_before_the_reply_is_passed_over() -> None:
    assert read_completion('\ufeff{"choices": [{"message": {"content": "x"}}]}'.encode(), "")["choices"]


@pytest.mark.parametrize(
    "body",
    [with_message(role="assistant"), with_message(content=[]), with_message(content=[{"type": "text"}])],
    ids=str,
)
def test_an_answer_without_words_is_an_empty_one(
    open_chat_to: MakeChat, chat_server: ChatServer, body: dict[str, Any]
) -> None:
    chat_server.script = [as_json(body)]
    with pytest.raises(ReplyUnusable, match="empty"):
        ask(open_chat_to())


def test_a_refusal_in_words_is_what_the_repair_quotes(open_chat_to: MakeChat, chat_server: ChatServer) -> None:
    chat_server.script = [as_json(with_message(content=None, refusal="I cannot."))]
    with pytest.raises(ReplyUnusable, match="no complete JSON"):
        ask(open_chat_to(), Thought)
    assert chat_server.requests[1]["messages"][2] == {"role": "assistant", "content": "I cannot."}


@pytest.mark.parametrize(
    "body", [{}, [], 7, None, {"choices": []}, {"choices": None}, {"choices": [[]]}, {"choices": [{}]}], ids=str
)
def test_what_is_no_completion_is_refused_in_one_line(body: Any) -> None:
    with pytest.raises(NotAChatReply, match="it answered with"):
        read_completion(as_json(body).body, "application/json")


def test_a_stream_whose_type_is_not_said_is_understood() -> None:
    pieces = ({"role": None, "content": "hel"}, {"content": "lo"})
    events = (
        b"".join(b"data: " + as_json({"choices": [{"delta": piece}]}).body + b"\n\n" for piece in pieces)
        + b"data: [DONE]\n"
    )
    assert read_completion(events, "text/plain")["choices"][0]["message"]["content"] == "hello"


def test_calls_in_a_stream_are_put_together() -> None:
    pieces = [
        '{"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look"}}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{\\"pl"}}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "ace\\": 1}"}}]}}]}',
        '{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}',
        "[DONE]",
    ]
    body = "".join(f"data: {piece}\n\n" for piece in pieces).encode()
    message = read_completion(body, "text/event-stream")["choices"][0]["message"]
    call = message["tool_calls"][0]
    assert (call["id"], call["function"]) == ("a", {"name": "look", "arguments": '{"place": 1}'})


def test_a_stream_that_ends_with_the_whole_message_says_it_once(
    open_chat_to: MakeChat, chat_server: ChatServer
) -> None:
    whole = b'data: {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}\n\n'
    chat_server.script = [Stream(("hel", "lo"), finish=None, last=whole)]
    assert ask(open_chat_to()).text == "hello"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_PARTS = ("role", "content", "tool_calls", "reasoning_content", "refusal", "reasoning_details")


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw, on a busy machine
@given(
    st.dictionaries(st.sampled_from(_PARTS), _JSON),
    st.dictionaries(st.sampled_from(("usage", "error", "model")), _JSON),
)
def test_a_reply_of_any_shape_is_read_or_refused(message: dict[str, Any], more: dict[str, Any]) -> None:
    for body, kind in (
        (as_json({**completion(Answer("x"), "m"), "choices": [{"message": message}], **more}).body, "application/json"),
        (
            b"data: " + as_json({"choices": [{"delta": message}], **more}).body + b"\n\ndata: [DONE]",
            "text/event-stream",
        ),
    ):
        try:
            value = read_completion(body, kind)
        except (NotAChatReply, ErrorInside, BrokenOff):
            continue
        assert value["choices"][0]["message"]["role"] == "assistant"
