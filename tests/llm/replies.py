"""What a scripted chat server may answer: text, or a fault.

A script is a list of replies, used up in order (then the last one repeats), or a function from the request's body to a
reply. A reply is a str (sent as a completion), a dict (sent as a completion holding this JSON), or a fault below.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Status:
    """An HTTP error with a JSON error body in the style of OpenAI's."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "scripted"
    error_code: str | None = None
    param: str | None = None


@dataclass(frozen=True)
class Raw:
    """A body as it is."""

    body: bytes
    content_type: str = "application/json"
    code: int = 200


def as_json(value: Any, code: int = 200) -> Raw:
    """A body of JSON that is no ordinary completion."""
    return Raw(json.dumps(value).encode(), code=code)


@dataclass(frozen=True)
class Answer:
    """A completion whose details matter."""

    text: str | None
    finish_reason: str = "stop"
    usage: bool = True
    tokens_in: int = 7
    tokens_out: int = 5


@dataclass(frozen=True)
class Hang:
    """No answer until the client goes away."""


@dataclass(frozen=True)
class Drip:
    """A completion that dribbles out byte by byte, with a pause after each."""

    text: str
    pause: float


@dataclass(frozen=True)
class Stream:
    """A completion as server-sent events, although nobody asked for a stream.

    `finish` None and `done` False: it ends without saying so. `pause`: seconds after each event. `last` is sent as
    it is in place of a proper end; `reset`: the connection is reset there.
    """

    pieces: tuple[str, ...]
    finish: str | None = "stop"
    usage: bool = True
    done: bool = True
    pause: float = 0.0
    last: bytes = b""
    reset: bool = False


@dataclass(frozen=True)
class Alive:
    """A stream that says for ever that its connection is alive, and nothing else."""

    pause: float


@dataclass(frozen=True)
class Huge:
    """A body of this many bytes."""

    size: int


@dataclass(frozen=True)
class Reset:
    """The connection is reset in the middle of the body."""


@dataclass(frozen=True)
class Calls:
    """A message that calls tools: (name, arguments as JSON text) each."""

    calls: tuple[tuple[str, str], ...]


Step = str | dict[str, Any] | Status | Raw | Answer | Hang | Drip | Stream | Alive | Huge | Reset | Calls
Script = list[Step] | Callable[[dict[str, Any]], Step]


def completion(answer: Answer, model: str) -> dict[str, Any]:
    """A chat completion as OpenAI's endpoint would write it."""
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "finish_reason": answer.finish_reason,
            }
        ],
    }
    if answer.usage:
        total = answer.tokens_in + answer.tokens_out
        body["usage"] = {
            "prompt_tokens": answer.tokens_in,
            "completion_tokens": answer.tokens_out,
            "total_tokens": total,
        }
    return body


def tool_calls(step: Calls, model: str) -> dict[str, Any]:
    """A chat completion that calls tools."""
    body = completion(Answer(None, "tool_calls"), model)
    body["choices"][0]["message"]["tool_calls"] = [
        {"id": f"id{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(step.calls)
    ]
    return body


def events(stream: Stream, model: str) -> Iterator[bytes]:
    """A stream's server-sent events."""
    lines: list[dict[str, Any]] = []
    for piece in stream.pieces:
        choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        lines.append({"model": model, "choices": [choice]})
    if stream.finish:
        lines.append({"model": model, "choices": [{"index": 0, "delta": {}, "finish_reason": stream.finish}]})
    if stream.usage:
        lines.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}})
    for line in lines:
        yield b"data: " + json.dumps(line).encode() + b"\n\n"
    yield stream.last
    if stream.done:
        yield b"data: [DONE]\n\n"
