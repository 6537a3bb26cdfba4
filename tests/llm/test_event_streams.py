"""Streams of completions in the forms in which servers send them, read as one completion."""

import json
from typing import Any

import pytest

from autoprune.llm.completion import BrokenOff, ErrorInside, NotAChatReply, read_completion

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
DONE = "data: [DONE]\n\n"


def piece(text: Any, finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice], **more})}\n\n"


def read(body: str, kind: str = "text/event-stream") -> dict[str, Any]:
    return read_completion(body.encode(), kind)


WHOLE = piece("hel") + piece("lo", "stop")
CHOICE = {"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}
STREAMS = {
    "comments": f": PROCESSING\n\n{WHOLE}: alive\n\n{DONE}",
    "other fields": f"event: message\nid: 1\nretry: 9\n{WHOLE}",
    "carriage returns": WHOLE.replace("\n", "\r"),
    "both line ends": WHOLE.replace("\n", "\r\n"),
    "no space": WHOLE.replace("data: ", "data:"),
    "words that keep alive": f"data: ping\n\ndata:\n\n{WHOLE}",
    "over two lines": WHOLE.replace('"choices":', '\ndata: "choices":'),
    "a line each": WHOLE.replace("data: ", "").replace("\n\n", "\n"),
    "junk behind the end": f"{WHOLE}{DONE}OK",
    "choices null": f'data: {{"choices": null}}\n\n{WHOLE}',
    "another choice": 'data: {"choices": [{"index": 1, "delta": {"content": "X"}}]}\n\n' + WHOLE,
    "text in place of deltas": 'data: {"choices": [{"text": "hello", "finish_reason": "stop"}]}\n\n',
    "no stream, though it says so": json.dumps({"choices": [CHOICE]}, indent=1),
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_the_pieces_of_a_stream_are_put_together(body: str, kind: str) -> None:
    assert read(body, kind)["choices"][0]["message"]["content"] == "hello"


def test_usage_is_found_where_it_stands() -> None:
    in_choice = json.dumps({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop", "usage": USAGE}]})
    last = f'data: {{"choices": [], "usage": {json.dumps(USAGE)}}}\n\ndata: {{"choices": [], "usage": null}}\n\n'
    for body in (f"data: {in_choice}\n\n", WHOLE + last, piece("x", usage={"prompt_tokens": 1}) + last + DONE):
        assert read(body)["usage"] == USAGE


@pytest.mark.parametrize(
    "end",
    [
        "",
        'data: {"choices": [{"del',
        'data: {"error": "boom"}\n\n',
        '{"error": "boom"}\n',
        'error: {"message": "boom"}\n\n',
        piece("", "error"),
    ],
)
def test_a_stream_that_ends_in_its_middle_broke_off(end: str) -> None:
    with pytest.raises(BrokenOff):
        read(piece("hel") + end)


def test_a_reply_that_ended_in_an_error_without_words_broke_off() -> None:
    with pytest.raises(BrokenOff):
        read(json.dumps({"choices": [{**CHOICE, "finish_reason": "error"}]}), "application/json")


def test_an_error_that_calls_itself_a_stream_is_one() -> None:
    with pytest.raises(ErrorInside, match="no seed"):
        read('{"error": {"message": "no seed", "code": 400}}')


@pytest.mark.parametrize("body", ['data: {"a\n\ndata: {}\n\n', "data: {\n" * 200_000, "data: [DONE]\n\n", "<html>"])
def test_what_is_no_stream_of_a_completion_is_refused_in_bounded_time(body: str) -> None:
    with pytest.raises(NotAChatReply):
        read(body)


def test_calls_are_told_apart_without_an_index_and_need_no_arguments() -> None:
    calls = [
        {"index": None, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
        {"index": None, "id": "b", "function": {"name": "g", "arguments": ""}},
    ]
    events = [json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}) for call in calls]
    body = "".join(f"data: {event}\n\n" for event in events) + DONE
    read_calls = read(body)["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in read_calls] == ['{"x": 1}', "{}"]
