"""The commands by name, each imported when it is asked for: `--help` and a shell's completion answer at once."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

COMMANDS = {
    "search": ("search", "Search for a pruning algorithm by agents."),
    "resume": ("search", "Continue a run that was interrupted or paused."),
    "approve": ("approve", "Say which candidates may run."),
    "fork": ("fork", "Continue a run under changed settings, as a new one."),
    "runs": ("runs", "List the runs with their best candidates."),
    "trace": ("trace", "Show who said what, and what was measured."),
    "report": ("report", "Write a run as one HTML file."),
    "export-algorithm": ("export_algorithm", "Write a candidate as a Python file, with notes beside it."),
    "prune": ("prune", "Prune a model, measure it, and write it."),
    "compare": ("compare", "Measure pruning algorithms side by side."),
    "evaluate": ("evaluate", "Measure a model: perplexity, zeros, zero-shot tasks."),
    "unpack": ("unpack", "Restore a model directory from a packed file."),
    "config": ("config", "Print all settings with their descriptions, as YAML."),
    "doctor": ("doctor", "Say what a search would use and take on this machine."),
    "cache": ("cache", "Show what is kept from run to run, or remove it."),
    "sandbox": ("sandbox", "Make and try the sandbox in which candidates run."),
}
"""Name -> module in `autoprune.cli`, which has a function or a Typer of that name, and the line in the list of them."""


class Commands(Mapping[str, Any]):
    """Name -> command, made once for each of these."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, _ = COMMANDS[name]
            self._made[name] = _command(name, getattr(import_module(f"autoprune.cli.{module}"), name.replace("-", "_")))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _command(name: str, made_of: Any) -> Any:
    """A command of a function, or a group of a Typer that has several."""
    if not isinstance(made_of, typer.Typer):
        only = typer.Typer(rich_markup_mode=None, add_completion=False)
        only.command(name)(made_of)
        made_of = only
    made = typer.main.get_command(made_of)
    made.name = name
    return made


class Group(TyperGroup):
    """The program: a list of its commands needs none of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {}})
        self.commands = cast(Any, Commands())

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
