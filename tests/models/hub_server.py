"""A small Hugging Face hub on this machine: accounts, repositories, and uploads of files, over HTTP."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_ann"
OWNER = "ann"
LARGE = (".safetensors", ".json")
"""Endings of files that go to the storage for large ones."""


class HubServer:
    """What a hub has received. `files`: repository -> path -> content; `private`: repository -> whether it is."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.refuses_commits = False
        self.stored: dict[str, bytes] = {}
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, token: str = TOKEN) -> dict[str, str]:
        """Variables by which a process uses this hub."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        if method == "HEAD":
            return 200, {}
        if method == "PUT":
            self.stored[path.removeprefix("/storage/")] = body
            return 200, {}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path == "/api/whoami-v2":
            return 200, {"name": OWNER, "type": "user", "orgs": []}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": list(map(self._upload, json.loads(body)["objects"]))}
        repository = "/".join(path.split("/")[3:5])
        if repository in self.files and "/preupload/" in path:
            return 200, {"files": list(map(_mode, json.loads(body)["files"]))}
        if repository in self.files and "/commit/" in path:
            return self._commit(repository, [json.loads(line) for line in body.splitlines()])
        return 404, {"error": f"there is no {path}"}

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        repository = f"{wanted.get('organization') or OWNER}/{wanted['name']}"
        address = {"url": f"{self.url}/{repository}", "name": repository, "id": "0"}
        if repository in self.files:
            return 409, {**address, "error": "You already created this model repo"}
        if not repository.startswith(f"{OWNER}/"):
            return 403, {"error": "You don't have the rights to create a model under this namespace"}
        # As older and newer clients say it.
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        self.files[repository], self.private[repository] = {}, private
        return 200, address

    def _upload(self, item: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.url}/storage/{item['oid']}", "header": {}}
        return {"oid": item["oid"], "size": item["size"], "actions": {"upload": upload}}

    def _commit(self, repository: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        if self.refuses_commits:
            return 500, {"error": "the storage is down"}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                self.files[repository][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[repository][value["path"]] = self.stored[value["oid"]]
        oid = "0" * 40
        return 200, {"success": True, "commitOid": oid, "commitUrl": f"{self.url}/{repository}/commit/{oid}"}


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LARGE) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


class _Handler(BaseHTTPRequestHandler):
    server_hub: HubServer

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("Authorization", "")
        code, answer = self.server_hub.answer(self.command, self.path.partition("?")[0], body, token)
        text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        if code >= 400:
            self.send_header("X-Error-Message", str(answer["error"]))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = _do

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def hub_server() -> Iterator[HubServer]:
    server = HubServer()
    server.start()
    try:
        yield server
    finally:
        server.close()
