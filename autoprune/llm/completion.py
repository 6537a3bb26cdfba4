"""Normalizes an endpoint's response, JSON with deviations or an event stream, to one valid chat completion."""

import json
import re
from collections.abc import Iterator
from typing import Any

import openai

from autoprune.llm.error_objects import error_in, message_of, status_of
from autoprune.llm.thinking import is_thinking, stated_thinking
from autoprune.llm.usage import stated

LONGEST_INTEGER = 18
"""Digits. Python refuses to parse integers with thousands of digits."""
DONE = "[DONE]"
MOST_LINES = 500
"""Lines of one event."""
_FIELD = re.compile(r"^(?:data|error):")
_EVENT = re.compile(r"\s*(?:(?:data|event|id|retry|error):|:)")
_OBJECT_LINES = re.compile(r"\s*\{.*\}[ \t\r]*\n\s*\{")
_WORDS = ("text", "content", "refusal")
_CUT_OFF = ("length", "max_tokens", "max_output_tokens", "model_length")


class NotAChatReply(openai.OpenAIError):
    """Status 200, but the body is not a chat completion."""


class BrokenStream(NotAChatReply):
    """Status 200, but the body is an event stream that cannot be read."""


class BrokenOff(openai.OpenAIError):
    """A stream of a chat completion ended early."""


class Unfinished(BrokenOff):
    """A stream ended without an error and without a sign of its end."""


class ErrorInside(Exception):
    """Status 200, but the body holds an error. `status`: the HTTP status of its code; None if unknown."""

    def __init__(self, error: Any) -> None:
        super().__init__(message_of(error))
        self.error = error
        self.status = status_of(error)


def read_completion(body: bytes, content_type: str) -> dict[str, Any]:
    """A chat completion with one choice, whose message has a role, text or parts, and valid tool calls.

    Raises NotAChatReply, BrokenOff or ErrorInside.
    """
    text = body.decode("utf-8", errors="replace").removeprefix("\ufeff")
    declared = "text/event-stream" in content_type and not text.lstrip().startswith(("{", "["))
    if declared or _EVENT.match(text):
        return _join_events(text)
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        if _OBJECT_LINES.match(text):
            return _join_events(text)
        kind = "an HTML page" if b"<html" in body[:2000].lower() else "not JSON" if body.strip() else "an empty body"
        raise NotAChatReply(f"it answered with {kind}") from None
    if error := error_in(value):
        raise ErrorInside(error)
    choices = value.get("choices") if isinstance(value, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise NotAChatReply("it answered with JSON that is no chat completion")
    values = (choices[0].get(name) for name in ("message", "delta", "text"))
    message = next((value for value in values if value is not None), None)
    if isinstance(message, str):
        message = {"content": message}
    if not isinstance(message, dict):
        raise NotAChatReply("it answered with a choice that has no message")
    return _completion(message, choices[0].get("finish_reason"), value.get("model"), value.get("usage"))


def _completion(message: dict[str, Any], finish: Any, model: Any, usage: Any) -> dict[str, Any]:
    calls = _calls(message.get("tool_calls"))
    text, thinking = _text(message), stated_thinking(message).strip()
    # Thinking is passed as a part of the content, since the library drops unknown fields.
    content: Any = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": text}] if thinking else text
    ended = finish if isinstance(finish, str) and finish else "tool_calls" if calls else "stop"
    if ended == "error":
        raise BrokenOff("it broke off with an error that it does not name")
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {}),
        "finish_reason": "length" if ended.lower() in _CUT_OFF else ended,
    }
    counts = stated(usage)
    return {
        "id": "reply",
        "object": "chat.completion",
        "created": 0,
        "model": model if isinstance(model, str) and model else None,
        "choices": [choice],
        **({"usage": counts} if counts else {}),
    }


def _text(message: dict[str, Any]) -> str:
    """The answer's text: a string, the text parts, or a refusal."""
    content = message.get("content")
    if isinstance(content, dict):  # one part, or the requested object
        content = [content] if content.keys() & {"type", *_WORDS} else json.dumps(content)
    if isinstance(content, list):
        parts = [_part(part) for part in content if not is_thinking(part)]
        content = "".join(parts) if any(parts) else None
    if content is not None and not isinstance(content, str):
        raise NotAChatReply("it answered with a message that is no text")
    refusal = message.get("refusal")
    return content or (refusal if isinstance(refusal, str) else "")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = next((part[name] for name in _WORDS if part.get(name)), "") if isinstance(part, dict) else ""
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _calls(value: Any) -> list[dict[str, Any]]:
    """The tool calls that have a name. Arguments other than JSON objects become text that does not parse, which the
    library reports as invalid calls; it would fail on other JSON."""
    calls: list[dict[str, Any]] = []
    for call in value if isinstance(value, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            arguments = function.get("arguments") or {}
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            text = text if text.lstrip().startswith("{") else f"no object: {text}"
            calls.append(
                {
                    "id": str(call.get("id") or f"call{len(calls)}"),
                    "type": "function",
                    "function": {"name": function["name"], "arguments": text},
                }
            )
    return calls


def _join_events(body: str) -> dict[str, Any]:
    """One chat completion out of a stream of deltas (server-sent events)."""
    message: dict[str, Any] = {}
    calls: dict[Any, dict[str, Any]] = {}
    finish, model, usage, seen, done = None, None, None, False, False
    for event in _events(body):
        if event == DONE:
            done = True
            continue
        if error := error_in(event):
            raise _broken_off(error, seen)
        try:
            choices = event.get("choices") or []
            choice: dict[str, Any] = next((choice for choice in choices if not choice.get("index")), {})
            # Some servers end a stream with the whole message.
            delta = choice.get("delta") or ({} if message else choice.get("message")) or {}
            delta = delta or {"content": choice.get("text")}
            _add(message, delta)
            for call in delta.get("tool_calls") or []:
                _add_call(calls, call)
        except (AttributeError, LookupError, TypeError):
            raise BrokenStream("it answered with a broken event stream") from None
        seen = seen or bool(event.get("choices"))
        finish = choice.get("finish_reason") or finish
        model = event.get("model") or model
        usage = event.get("usage") or choice.get("usage") or usage
    if not seen:
        raise BrokenStream("it answered with an event stream without content")
    if not finish and not done:
        raise Unfinished("it broke off in the middle of its reply")
    message = {name: "".join(parts) for name, parts in message.items()}
    return _completion(message | {"tool_calls": list(calls.values())}, finish, model, usage)


def _events(body: str) -> Iterator[Any]:
    """The data of a stream's events: DONE, or JSON, possibly over several lines. Comments and keep-alive messages are
    skipped; the last event may be cut off."""
    pending: list[str] = []
    for line in body.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        data = _FIELD.sub("", line).strip()
        if (pending and not line.strip()) or len(pending) > MOST_LINES:
            raise BrokenStream("it answered with a broken event stream")
        if not pending and not data.startswith(("{", DONE)):
            continue
        pending = [*pending, data] if data != DONE else [DONE]
        try:
            event = DONE if data == DONE else _decode("\n".join(pending))
        except (ValueError, RecursionError):
            continue
        yield event
        pending = []


def _broken_off(error: Any, seen: bool) -> Exception:
    """An error in a stream; without a code, the reply has ended early if it had begun."""
    inside = ErrorInside(error)
    return BrokenOff(f"it broke off with an error: {inside}") if inside.status is None and seen else inside


def _add(message: dict[str, list[str]], delta: dict[str, Any]) -> None:
    """Append a delta's text and thinking to the message."""
    pieces = {"content": _text(delta), "reasoning_content": stated_thinking(delta)}
    for name, piece in pieces.items():
        if piece:
            message.setdefault(name, []).append(piece)


def _add_call(calls: dict[Any, dict[str, Any]], piece: dict[str, Any]) -> None:
    """Append a delta's piece to one of the message's tool calls."""
    place = piece.get("index")
    if place is None:  # a piece without an index or id belongs to the last call
        place = piece.get("id") or next(reversed(calls), 0)
    call = calls.setdefault(place, {"id": None, "function": {"name": "", "arguments": ""}})
    call["id"] = call["id"] or piece.get("id")
    function = piece.get("function") or {}
    call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
    arguments = function.get("arguments")
    call["function"]["arguments"] += (
        arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
    )


def _decode(text: str) -> Any:
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= LONGEST_INTEGER else float("inf"))
