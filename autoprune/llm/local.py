"""A chat server on this machine: a GGUF model behind an OpenAI-compatible endpoint on loopback."""

import contextlib
import json
import logging
import os
import secrets
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from autoprune.cores import asked_threads, usable_cores
from autoprune.errors import ChatError
from autoprune.llm.serve import ServeOptions

logger = logging.getLogger(__name__)
START_SECONDS = 300.0
SIGN_OF_LIFE_SECONDS = 5.0


class LocalServer:
    """Context manager of a server process, which always ends with it.

    `base_url` and `api_key` are for `Chat`. The key is random, to exclude other users of the machine and web pages. The
    kernel kills the server when the thread that entered the context ends.

    Args:
        model: the GGUF file. context: in tokens.

    Raises:
        ChatError: the model cannot be loaded, the server does not start.
    """

    def __init__(self, model: Path, *, context: int = 8192) -> None:
        self.model = model
        self.base_url = ""
        self.api_key = secrets.token_urlsafe(24)
        self._options = ServeOptions(
            model=str(model),
            threads=asked_threads() or usable_cores(),
            context=context,
            key=self.api_key,
            parent=os.getpid(),
        )
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> "LocalServer":
        log = tempfile.TemporaryFile("w+", errors="replace")
        with log:
            # In its own session, so that Ctrl+C only reaches this process, which then ends the server.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autoprune.llm.serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            with contextlib.ExitStack() as undo:
                undo.callback(self._stop)
                self.base_url = self._wait_until_ready(self._process, log)
                undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _wait_until_ready(self, process: "subprocess.Popen[str]", log: IO[str]) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(self._options) + "\n")
            process.stdin.flush()
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not selector.select(SIGN_OF_LIFE_SECONDS):
                waited = time.monotonic() - started
                if waited > START_SECONDS:
                    raise ChatError(f"the local chat server with {self.model} did not start in {START_SECONDS:.0f} s")
                logger.info(f"loading {self.model.name}: {waited:.0f} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            raise ChatError(f"the local chat server with {self.model} ended with code {code}: {_last_line(log)}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChatError(f"the local chat server does not start: {answer['error']}")
        return str(answer["url"])

    def _stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read()[-4000:].splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
