"""The HTTP client of chat models: responses are bounded in time and size, and validated.

httpx's read timeout restarts with each byte, so a server that sends slowly would never time out. Here one deadline
covers the whole response (only its last read may exceed it), the body has a size limit, and a body that is not a chat
completion (an HTML login page, an empty body, truncated JSON) is recognised. A requested stream only has a limit on the
time between events, since a slow machine may take long.
"""

import json
import time
from typing import Any

import openai

from autoprune.llm.completion import ErrorInside, read_completion

MAX_BODY_BYTES = 8 * 1024 * 1024
UNCLEAR = 500
"""The status for an error of unknown kind in a response with status 200; it counts as transient."""
SENT_STATUS = "sent_status"


class ReplyTooLarge(openai.OpenAIError):
    """The body went past MAX_BODY_BYTES."""


class BoundedClient(openai.DefaultHttpxClient):
    """An httpx client that limits whole responses to `deadline` seconds and MAX_BODY_BYTES.

    `streams`: for a stream, `deadline` limits the time without an event instead. An error with status 200 gets the
    status of its code; `extensions[SENT_STATUS]` of the response keeps the original one.

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
                if only_silence and b"data:" in chunk:  # comments are only keep-alive messages
                    since = now
        finally:
            response.close()
        body = b"".join(chunks)
        outdated = {"content-encoding", "content-length", "transfer-encoding"}
        headers = {name: value for name, value in response.headers.items() if name.lower() not in outdated}
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
