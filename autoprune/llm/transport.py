"""The HTTP client under the chat model: whatever an endpoint sends, it is bounded in time and size, and checked.

A library's read time-out starts afresh with every byte, so a server that dribbles would never time out. Here one
deadline covers the whole reply (only its last read may overrun it), the body has a cap, and a body that is no chat
completion (an HTML login page, an empty body, half a JSON) is told apart from one that is. A stream that was asked for
has no deadline: a server on a slow machine may take long, and only its silence is bounded.
"""

import json
import time
from typing import Any

import openai

from autoprune.llm.completion import ErrorInside, read_completion

MAX_BODY_BYTES = 8 * 1024 * 1024
UNCLEAR = 500
"""The status of an error that came with status 200 and does not say what it is: it may pass."""
SENT_STATUS = "sent_status"


class ReplyTooLarge(openai.OpenAIError):
    """The body went past MAX_BODY_BYTES."""


class BoundedClient(openai.DefaultHttpxClient):
    """An httpx client whose replies arrive whole within `deadline` seconds and MAX_BODY_BYTES, or raise.

    `streams`: where a stream arrives, `deadline` bounds the time without an event instead. An error that comes with
    status 200 gets the status that it stands for; `extensions[SENT_STATUS]` of the response keeps the 200.

    Raises openai.APITimeoutError, NotAChatReply, BrokenOff or ReplyTooLarge besides what httpx raises.
    """

    def __init__(self, deadline: float, streams: bool = False, **options: Any) -> None:
        super().__init__(timeout=deadline, **options)
        self._deadline = deadline
        self._streams = streams

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        since = time.monotonic()
        response = super().send(request, stream=True, **options)
        content_type = response.headers.get("content-type", "")
        only_silence = self._streams and "text/event-stream" in content_type
        chunks, size = [], 0
        try:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise ReplyTooLarge(f"the reply is larger than {MAX_BODY_BYTES // 2**20} MiB")
                now = time.monotonic()
                if now - since > self._deadline:
                    raise openai.APITimeoutError(request=request)
                if only_silence and b"data:" in chunk:  # a comment says only that the connection is alive
                    since = now
        finally:
            response.close()
        body = b"".join(chunks)
        bodily = {"content-encoding", "content-length", "transfer-encoding"}
        headers = {name: value for name, value in response.headers.items() if name.lower() not in bodily}
        status, extensions = response.status_code, {}
        if response.is_success and request.url.path.endswith("/chat/completions"):
            headers["content-type"] = "application/json"
            try:
                value = read_completion(body, content_type)
            except ErrorInside as inside:
                extensions = {SENT_STATUS: status}
                status, value = inside.status or UNCLEAR, {"error": inside.error}
            body = json.dumps(value).encode()
        return type(response)(status, headers=headers, content=body, request=request, extensions=extensions)
