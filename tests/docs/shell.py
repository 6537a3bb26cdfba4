"""What a command in the documentation must stand before it is run, and which ones are not.

Every command is read by the real parser of its program, as it stands there, so that no option or value is documented
that does not exist. It is then run (tests/docs/programs.py), unless NOT_RUN says why not; it is the only way out.
"""

import shlex
import tomllib
from collections.abc import Callable, Sequence
from subprocess import run
from typing import Any

import typer

from autoprune.cli import app
from autoprune.config import load_config
from tests.docs.pages import ROOT

CI = "it needs a network; .ci/run runs this very command, before or around the tests"
NOT_RUN = {
    "make setup": CI,
    "make lint": CI,
    "make test": CI,
    "docker build": "downloads a base image, torch and every extra",
    "docker run": "runs what `docker build` makes",
    "docker import": "takes the Debian that mmdebstrap downloads",
    "mmdebstrap": "downloads a Debian",
    "autoprune view": "serves until Ctrl+C; tests/web/test_view.py does that",
}
"""Commands with this text in them are read and not run."""

REFUSED = {"device=cuda": "device 'cuda' cannot be used"}
"""What the program has to say about a command on a machine that lacks what it asks for: a GPU."""

MAY_PAUSE = "search --approval"
"""Such a search ends with 3 where it has to ask a person, for there is no terminal."""


def reason_not_to_run(command: str) -> str | None:
    return next((reason for text, reason in NOT_RUN.items() if text in command), None)


def words_of(command: str) -> list[str]:
    """The command's words as the shell reads them. What would need more than one program has no place in a block."""
    assert run(["bash", "-n", "-c", command], check=False).returncode == 0, f"bash cannot read: {command}"
    words = shlex.split(command, comments=True)
    assert not {"|", ">", ">>", "<", "&&", ";", "&"} & set(words), f"one plain command a line, please: {command}"
    return words


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
    if words[0] in ("search", "fork", "config"):
        load_config(None, [word for word in words if "=" in word and not word.startswith("-")])


def _silence(command: Any) -> None:
    for inner in getattr(command, "commands", {}).values():
        _silence(inner)
    command.callback = lambda **values: None


def _parse_make(words: Sequence[str]) -> None:
    done = run(["make", "-n", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in words:
        if words[0] == "search" and word.startswith("ARGS="):
            parse_autoprune(["search", *shlex.split(word.removeprefix("ARGS="))])


def _parse_pip(words: Sequence[str]) -> None:
    """pip itself says no more than a warning about an extra that does not exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert words[0] == "install"
    for word in words[1:]:
        if "[" in word:
            named = word.partition("[")[2].rstrip("]").split(",")
            assert set(named) <= set(extras), f"unknown extra in {word}"


def _when_it_runs(words: Sequence[str]) -> None:
    """Its arguments are read when it is run, as they stand."""


READERS: dict[str, Callable[[Sequence[str]], None]] = {
    "autoprune": parse_autoprune,
    "make": _parse_make,
    "pip": _parse_pip,
    "python": _when_it_runs,
    "scripts/docker-engine": _when_it_runs,
    "eval": _when_it_runs,
    "export": _when_it_runs,
    "createdb": _when_it_runs,
    "docker": lambda words: None,
    "mmdebstrap": lambda words: None,
}
"""How the arguments of each program that the documentation calls are read. The last two are not ours to check."""
