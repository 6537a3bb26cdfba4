"""A real chat server on loopback whose every answer is scripted: text, or a fault.

    with ChatServer(["hello", Status(429, {"retry-after": "0"}), Hang()]) as server: ...

A script is a list of replies, used up in order (then the last one repeats), or a function from the request's body to a
reply. A reply is a str (sent as a completion), a dict (sent as a completion holding this JSON), or a fault below.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def _calling(step: Calls, model: str) -> dict[str, Any]:
    body = completion(Answer(None, "tool_calls"), model)
    body["choices"][0]["message"]["tool_calls"] = [
        {"id": f"id{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(step.calls)
    ]
    return body


class ChatServer:
    """`requests` and `headers` hold what every request brought; `script` and `models` may be replaced."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self.models = ["scripted"]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def next_step(self, body: dict[str, Any], headers: dict[str, str]) -> Step:
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append(headers)
            if callable(self.script):
                return self.script(body)
            return self.script[min(number, len(self.script) - 1)]


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests read `requests`."""

        def do_GET(self) -> None:
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in server.models]
            self._send(200, json.dumps({"object": "list", "data": models}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            step = server.next_step(body, headers)
            model = body["model"]
            try:
                self._play(step, model)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _play(self, step: Step, model: str) -> None:
            match step:
                case str():
                    self._complete(Answer(step), model)
                case dict():
                    self._complete(Answer(json.dumps(step)), model)
                case Answer():
                    self._complete(step, model)
                case Calls():
                    self._send(200, json.dumps(_calling(step, model)).encode())
                case Status():
                    error = {"message": step.message, "type": "scripted", "code": step.error_code, "param": step.param}
                    self._send(step.code, json.dumps({"error": error}).encode(), headers=step.headers)
                case Raw():
                    self._send(step.code, step.body, step.content_type)
                case Hang():
                    server.stopping.wait(60)
                    self.close_connection = True
                case Drip():
                    self._drip(json.dumps(completion(Answer(step.text), model)).encode(), step.pause)
                case Stream():
                    self._stream(step, model)
                case Alive():
                    self._start_stream()
                    while not server.stopping.wait(step.pause):
                        self.wfile.write(b": alive\n\n")
                        self.wfile.flush()
                case Huge():
                    self._huge(step.size)
                case Reset():
                    self._reset()

        def _complete(self, answer: Answer, model: str) -> None:
            self._send(200, json.dumps(completion(answer, model)).encode())

        def _send(
            self, code: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
        ) -> None:
            self._head(code, len(body), content_type, headers)
            self.wfile.write(body)

        def _head(
            self, code: int, length: int, content_type: str = "application/json", headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(code)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(length))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def _drip(self, body: bytes, pause: float) -> None:
            self._head(200, len(body))
            for position in range(len(body)):
                self.wfile.write(body[position : position + 1])
                self.wfile.flush()
                time.sleep(pause)
                if server.stopping.is_set():
                    return

        def _start_stream(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True

        def _stream(self, step: Stream, model: str) -> None:
            self._start_stream()
            for event in _events(step, model):
                self.wfile.write(event)
                self.wfile.flush()
                time.sleep(step.pause)
                if server.stopping.is_set():
                    return
            if step.reset:
                self._break()

        def _huge(self, size: int) -> None:
            self._head(200, size)
            block = b" " * 65536
            for _ in range(size // len(block)):
                self.wfile.write(block)

        def _reset(self) -> None:
            self._head(200, 1000)
            self.wfile.write(b'{"id": "x", "cho')
            self.wfile.flush()
            self._break()

        def _break(self) -> None:
            # Closing with linger 0 sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    return Handler


def _events(stream: Stream, model: str) -> Iterator[bytes]:
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
