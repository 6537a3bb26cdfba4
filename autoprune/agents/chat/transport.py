"""The HTTP client under the chat model: whatever an endpoint sends, it is bounded in time and size, and checked.

A library's read time-out starts afresh with every byte, so a server that dribbles would never time out. Here one
deadline covers the whole reply (only its last read may overrun it), the body has a cap, and a body that is no chat
completion (an HTML login page, an empty body, half a JSON) is told apart from one that is. A server that streams
although it was not asked to is understood too.
"""

import json
import time
from typing import Any

import openai

MAX_BODY_BYTES = 8 * 1024 * 1024


class NotAChatReply(openai.OpenAIError):
    """Status 200, but the body is no chat completion."""


class ReplyTooLarge(openai.OpenAIError):
    """The body went past MAX_BODY_BYTES."""


class BrokenOff(openai.OpenAIError):
    """A stream of a chat completion began and did not come to its end."""


class BoundedClient(openai.DefaultHttpxClient):
    """An httpx client whose replies arrive whole within `deadline` seconds and MAX_BODY_BYTES, or raise.

    Raises openai.APITimeoutError, NotAChatReply, BrokenOff or ReplyTooLarge besides what httpx raises.
    """

    def __init__(self, deadline: float, **options: Any) -> None:
        super().__init__(timeout=deadline, **options)
        self._deadline = deadline

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        started = time.monotonic()
        response = super().send(request, stream=True, **options)
        chunks, size = [], 0
        try:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise ReplyTooLarge(f"the reply is larger than {MAX_BODY_BYTES // 2**20} MiB")
                if time.monotonic() - started > self._deadline:
                    raise openai.APITimeoutError(request=request)
        finally:
            response.close()
        body = b"".join(chunks)
        if response.is_success and request.url.path.endswith("/chat/completions"):
            body = json.dumps(_chat_completion(body, response.headers.get("content-type", ""))).encode()
            headers = {"content-type": "application/json"}
        else:
            bodily = {"content-encoding", "content-length", "transfer-encoding"}
            headers = {name: value for name, value in response.headers.items() if name.lower() not in bodily}
        return type(response)(response.status_code, headers=headers, content=body, request=request)


def _chat_completion(body: bytes, content_type: str) -> dict[str, Any]:
    if "text/event-stream" in content_type:
        return _join_events(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        kind = "an HTML page" if b"<html" in body[:2000].lower() else "not JSON" if body.strip() else "an empty body"
        raise NotAChatReply(f"it answered with {kind}") from None
    choices = value.get("choices") if isinstance(value, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise NotAChatReply("it answered with JSON that is no chat completion")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise NotAChatReply("it answered with a choice that has no message")
    if not isinstance(message.get("content"), str | list | None):
        raise NotAChatReply("it answered with a message that is no text")
    if "tool_calls" in message:
        message["tool_calls"] = _calls(message["tool_calls"])
    return value


def _calls(value: Any) -> list[dict[str, Any]]:
    """The tool calls that have a name. Arguments that are no JSON object become text that does not parse: the library
    hands such calls on as invalid, but would fail on JSON of another kind."""
    calls: list[dict[str, Any]] = []
    for call in value if isinstance(value, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            function["arguments"] = text if text.lstrip().startswith("{") else f"no object: {text}"
            call["id"] = str(call.get("id") or f"call{len(calls)}")
            calls.append(call)
    return calls


def _join_events(body: bytes) -> dict[str, Any]:
    """One chat completion out of a stream of deltas (server-sent events)."""
    text, finish, model, usage, seen, done = [], None, None, None, False, False
    for line in body.decode("utf-8", errors="replace").splitlines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            done = done or data == "[DONE]"
            continue
        try:
            event = json.loads(data)
            if error := event.get("error"):
                raise BrokenOff(f"it broke off with an error: {json.dumps(error)[:200]}")
            choice = (event.get("choices") or [{}])[0]
            text.append((choice.get("delta") or {}).get("content") or "")
        except (ValueError, AttributeError, LookupError, RecursionError):
            raise NotAChatReply("it answered with a broken event stream") from None
        seen = seen or bool(event.get("choices"))
        finish = choice.get("finish_reason") or finish
        model = event.get("model") or model
        usage = event.get("usage") or usage
    if not seen:
        raise NotAChatReply("it answered with an event stream without content")
    if not finish and not done:
        raise BrokenOff("it broke off in the middle of its reply")
    message = {"role": "assistant", "content": "".join(text)}
    choice = {"index": 0, "message": message, "finish_reason": finish or "stop"}
    return {
        "id": "stream",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }
