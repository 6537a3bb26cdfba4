"""Running the commands of a page as its reader would: one shell, in one folder, from the first command to the last.

Commands of autoprune are called inside this process, which need not load torch for each. Two are typed into the shell,
which must find the program on its PATH: the first of the quickstart, after the page has set that, and `make search`.
"""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.docs.pages import ROOT
from tests.docs.small import made_small
from tests.programs import Program

CLONE = ("Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "autoprune", "benchmarks", "scripts")
TYPED = "autoprune doctor"
AS_IT_STANDS = ("export", "eval")
"""The shell's own commands, whose quotes and dollars matter."""
OF_THE_SHELL = ("_", "PWD", "OLDPWD", "SHLVL")
PYTHON = {"python": (sys.executable,), "pip": (sys.executable, "-m", "pip")}


def set_up_clone(place: Path) -> None:
    """What a page's reader has: a clone of the repository, after `make setup`."""
    for name in CLONE:
        (place / name).symlink_to(ROOT / name)
    program = place / ".venv" / "bin" / "autoprune"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autoprune "$@"\n')
    program.chmod(0o755)
    (place / ".venv" / ".ready").touch()


class Shell:
    """bash in a folder. What a command exports is there for all that follow, in this process too."""

    def __init__(self, place: Path, environment: Mapping[str, str], patch: pytest.MonkeyPatch) -> None:
        self._place = place
        self._variables = dict(environment)
        self._patch = patch

    def export(self, name: str, value: str) -> None:
        self._variables[name] = value
        self._patch.setenv(name, value)

    def run(self, command: str) -> CompletedProcess[str]:
        """Type a command and wait for its end."""
        kept = self._place / ".variables"
        done = subprocess.run(
            ["bash", "-c", f"{command}\ncode=$?\nenv -0 >{kept}\nexit $code"],
            env=self._variables,
            cwd=self._place,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        for line in kept.read_text(encoding="utf-8").split("\0")[:-1]:
            name, _, value = line.partition("=")
            if name not in OF_THE_SHELL and self._variables.get(name) != value:
                self.export(name, value)
        return done


class Programs:
    """`parts`: what stands in {braces} in tests/docs/small.py."""

    def __init__(self, shell: Shell, here: Program, parts: Mapping[str, object]) -> None:
        self._shell = shell
        self._here = here
        self._parts = parts

    def run(self, command: str, words: Sequence[str]) -> CompletedProcess[str]:
        """Run a command, made small; `words` as the shell reads it."""
        program, *rest = made_small(words, self._parts)
        if program in AS_IT_STANDS:
            return self._shell.run(command)
        if program == "autoprune" and " ".join(words) != TYPED:
            return self._here(*rest)
        return self._shell.run(shlex.join([*PYTHON.get(program, (program,)), *rest]))
