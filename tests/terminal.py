"""A pseudo-terminal with a command on it, as a person would type and read there."""

import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

from pexpect.fdpexpect import fdspawn

from tests.warm import WarmProgram

SIZE = {"COLUMNS", "LINES"}
"""Variables that a terminal's size would lose against; xdist sets both."""
PATIENCE = 240
"""Seconds that a process may need on a machine that is busy with other things."""


class Terminal(fdspawn):
    """What `pexpect.spawn` is, for a fork of the warm program. `size`: rows and columns."""

    def __init__(
        self, program: WarmProgram, words: list[str], environment: dict[str, str], folder: Path, size: tuple[int, int]
    ) -> None:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.process = program.start(words, environment, folder, [follower] * 3, terminal=True)
        os.close(follower)
        super().__init__(leader, encoding="utf-8", timeout=PATIENCE)

    def sendintr(self) -> None:
        """Ctrl+C."""
        self.send("\x03")

    def close(self) -> None:
        """Hang up, and wait for the end of the command."""
        if self.closed:
            return
        super().close()
        self.exitstatus = self.process.wait(PATIENCE)
