"""A real package index on loopback: hand-made wheels, served as pip expects them."""

import hashlib
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest


class Quiet(SimpleHTTPRequestHandler):
    """Counts what is asked for and writes nothing to the terminal."""

    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(self.path)


class PackageIndex:
    """Serves wheels from a directory; `environment` points pip at it and at nothing else."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.asked: list[str] = []
        handler = type("Handler", (Quiet,), {"asked": self.asked})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(root)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def add(self, package: str, version: str, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> None:
        """Publish a wheel with these files, stored or compressed."""
        folder = self._root / "simple" / package
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{package.replace('-', '_')}-{version}"
        wheel = folder / f"{stem}-py3-none-any.whl"
        described = {
            f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
            f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{stem}.dist-info/RECORD": b"",
        }
        with zipfile.ZipFile(wheel, "w", kind) as archive:
            for name, data in {**members, **described}.items():
                archive.writestr(name, data)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (folder / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')

    def point_pip_here(self, patch: pytest.MonkeyPatch) -> None:
        """Make pip, in this process's children, know this index only."""
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
            patch.delenv(name, raising=False)
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_INDEX_URL", self.url)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
