"""What a command in the documentation must stand, and how it is made small enough to be run by a test.

Every command is read by the real parser of its program, so that no option is documented that does not exist. Commands
of autoprune are then run, on a tiny model, unless NOT_RUN says why not; it is the only way out.
"""

import runpy
import shlex
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import run
from typing import Any, NoReturn

import pytest
import typer

from autoprune.cli import app
from autoprune.config import load_config
from tests.agents.conftest import SMALL
from tests.docs.pages import ROOT

NOT_RUN = {
    "--llm local": "runs the built-in chat model, a download of 1.1 GB",
    "--llm self": "runs a chat model, a download of 1.1 GB",
    "--sandbox docker": "needs a Docker engine",
    "sandbox build": "needs a Docker engine",
    "device=cuda": "needs a GPU",
    "wikitext2": "needs a hub",
    "--tasks": "needs a hub",
    "--otlp": "needs a collector",
    "--executor": "starts more processes than a test of a page should",
    "--database": "needs a PostgreSQL server",
    "search.tune_baselines=true": "takes more than a minute on the tiny model too",
    "--follow": "waits for another process",
}
"""Commands of autoprune with this text in them are parsed and not run."""

STANDS_FOR = ("smollm2-135m", "qwen2.5-coder-1.5b", "org/name", "path/to/model", "other/model")
"""Models in the documentation that are the tiny model in its tests."""

SHORT = ("--seqlen", "64", "--windows", "4", "--device", "cpu", "--dtype", "float32")
ALGORITHMS = (*SHORT, "--calibration-samples", "4", "--sandbox", "local")
MADE_SMALL = {
    "search": ("--max-candidates", "2", "--sandbox", "local", *SMALL),
    "prune": ALGORITHMS,
    "compare": ALGORITHMS,
    "evaluate": SHORT,
}
"""What is appended to a command; the last of two values of an option counts."""

MAY_PAUSE = "search --approval"
"""Such a search ends with 3 where it has to ask a person, for there is no terminal."""


def reason_not_to_run(command: str) -> str | None:
    return next((reason for text, reason in NOT_RUN.items() if text in command), None)


def words_of(command: str) -> list[str]:
    """The command's words as the shell reads them. What would need a real shell has no place in a block."""
    assert run(["bash", "-n", "-c", command], check=False).returncode == 0, f"bash cannot read: {command}"
    words = shlex.split(command, comments=True)
    assert not {"|", ">", ">>", "<", "&&", ";", "&"} & set(words), f"one plain command a line, please: {command}"
    return words


def made_small(words: Sequence[str], tiny: Path) -> list[str]:
    """The same command of autoprune for the tiny model and short texts."""
    _, command, *rest = [str(tiny) if word in STANDS_FOR else word for word in words]
    model = ["--model", str(tiny)] if command in ("search", "prune", "compare") else []
    return [command, *rest, *MADE_SMALL.get(command, ()), *model]


def check(words: Sequence[str]) -> None:
    """Let the program that is called read its own arguments, and do nothing."""
    program, *rest = words
    assert program in READERS, f"tests/docs/shell.py does not know {program!r}"
    READERS[program](rest)


def parse_autoprune(words: Sequence[str]) -> None:
    """Raises what the command line raises for an option, value or setting that does not exist."""
    command = typer.main.get_command(app)
    _silence(command)
    command.main(args=list(words), prog_name="autoprune", standalone_mode=False)
    if words[0] in ("search", "fork"):
        load_config(None, [word for word in words if "=" in word and not word.startswith("-")])


def _silence(command: Any) -> None:
    for inner in getattr(command, "commands", {}).values():
        _silence(inner)
    command.callback = lambda **values: None


class _Parsed(Exception):
    """A program has read its arguments."""


def _parse_python(words: Sequence[str]) -> None:
    """By the program's own parser. One without a parser of its own is not called at all."""
    script = ROOT / words[0]
    text = script.read_text(encoding="utf-8")
    if "ArgumentParser" not in text and "parser(" not in text:
        return
    read = ArgumentParser.parse_args

    def parse_args(self: ArgumentParser, *arguments: Any) -> NoReturn:
        read(self, *arguments)
        raise _Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArgumentParser, "parse_args", parse_args)
        patch.setattr(sys, "argv", list(words))
        patch.syspath_prepend(script.parent)
        try:
            runpy.run_path(str(script), run_name="__main__")
        except _Parsed:
            return
    raise AssertionError(f"{words[0]} ended without reading its arguments")


def _parse_make(words: Sequence[str]) -> None:
    done = run(["make", "-n", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in words:
        if words[0] == "search" and word.startswith("ARGS="):
            parse_autoprune(["search", *shlex.split(word.removeprefix("ARGS="))])


def _parse_pip(words: Sequence[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    for word in words[1:]:
        if "[" in word:
            named = word.partition("[")[2].rstrip("]").split(",")
            assert set(named) <= set(extras), f"unknown extra in {word}"


def _is_a_file(words: Sequence[str]) -> None:
    assert (ROOT / words[0]).is_file(), f"{words[0]} is not there"


READERS: dict[str, Callable[[Sequence[str]], None]] = {
    "autoprune": parse_autoprune,
    "python": _parse_python,
    "make": _parse_make,
    "pip": _parse_pip,
    "scripts/docker-engine": lambda words: _is_a_file(["scripts/docker-engine"]),
    "eval": lambda words: None,
    "export": lambda words: None,
    "createdb": lambda words: None,
    "docker": lambda words: None,
    "mmdebstrap": lambda words: None,
}
"""How the arguments of each program that the documentation calls are read. The last five are not ours to check."""
