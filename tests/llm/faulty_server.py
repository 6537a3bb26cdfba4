"""A real chat server on loopback whose every answer is scripted, with what `replies` knows.

with ChatServer(["hello", Status(429, {"retry-after": "0"}), Hang()]) as server: ...
"""

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.llm.replies import (
    Alive,
    Answer,
    Calls,
    Drip,
    Hang,
    Huge,
    Raw,
    Reset,
    Script,
    Status,
    Step,
    Stream,
    completion,
    events,
    tool_calls,
)


class ChatServer:
    """`requests` and `headers` hold what every chat request brought; `script` and `models` may be replaced, and
    `listing` by a reply in place of the list of models."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self.models = ["scripted"]
        self.listing: Status | Raw | None = None
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
            if server.listing is not None:
                self._play(server.listing, "")
                return
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
                    self._send(200, json.dumps(tool_calls(step, model)).encode())
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
            for event in events(step, model):
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
