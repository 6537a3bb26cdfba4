"""Forks that were started from the live page, each a process of its own that outlives the page."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autoprune.runs.directory import RunDirectory

OUTPUT = "output.log"
"""The file in a fork's directory with the output of its process."""
SHOWN = 300
"""Maximum length of the last line of a process that ended with an error."""


TAIL = 10_000
"""Bytes of the output in which its last line is looked for."""


@dataclass(frozen=True)
class _Fork:
    path: Path
    process: subprocess.Popen[bytes]

    def state(self) -> str:
        code = self.process.poll()
        if code is None:
            return "running"
        return "ended" if code == 0 else f"exit code {code}: {self._last_line}"

    @cached_property
    def _last_line(self) -> str:
        """Read once, when the process has ended."""
        try:
            with (self.path / OUTPUT).open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return "its output is gone"
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[-SHOWN:]


class Forks:
    """The forks of one page, in order."""

    def __init__(self) -> None:
        self._started: list[_Fork] = []

    def start(self, run: RunDirectory) -> None:
        """Let a new process work on a fork that has been made, as `autoprune resume` does."""
        words = [sys.executable, "-m", "autoprune", "resume", str(run.path)]
        with (run.path / OUTPUT).open("wb") as output:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl+C in the terminal of the page does not reach it
            )
        self._started.append(_Fork(run.path, process))

    def states(self) -> list[dict[str, Any]]:
        return [{"path": str(fork.path), "state": fork.state()} for fork in self._started]
