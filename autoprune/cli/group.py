"""The commands by name, imported when they are needed, so that `--help` and shell completion are fast."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

COMMANDS = {
    "search": ("search", "Search for a pruning algorithm."),
    "resume": ("search", "Continue a run that was interrupted or paused."),
    "approve": ("approve", "Approve, edit or reject candidates."),
    "fork": ("fork", "Continue a run as a new one, with changed settings."),
    "runs": ("runs", "List the runs with their best candidates."),
    "trace": ("trace", "Show the reasoning, code and measurements of candidates."),
    "view": ("view", "Serve a run as a live page, where candidates can be approved."),
    "report": ("report", "Write a run as one HTML file."),
    "export-algorithm": ("export_algorithm", "Write a candidate as a Python file, with notes beside it."),
    "kit": ("kit", "List, show, add and remove functions found by runs."),
    "prune": ("prune", "Prune a model, measure it, and write it."),
    "export": ("export", "Write a model for llama.cpp or transformers, and check it there."),
    "compare": ("compare", "Measure pruning algorithms side by side."),
    "evaluate": ("evaluate", "Measure a model: perplexity, zeros, zero-shot tasks."),
    "unpack": ("unpack", "Restore a model directory from a packed file."),
    "config": ("config", "Print all settings with their descriptions, as YAML."),
    "doctor": ("doctor", "Check this machine: what a search would use and need."),
    "cache": ("cache", "Show data shared by all runs, or remove it."),
    "sandbox": ("sandbox", "Build and check the sandbox in which candidates run."),
}
"""Name -> module in `autoprune.cli` with a function or a Typer of that name, and the help line."""


class Commands(Mapping[str, Any]):
    """Name -> command, made when it is first used."""

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


def _command(name: str, source: Any) -> Any:
    """A command from a function, or a group from a Typer with several."""
    if not isinstance(source, typer.Typer):
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(name)(source)
        source = single
    command = typer.main.get_command(source)
    command.name = name
    return command


class Group(TyperGroup):
    """The program, which lists its commands without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {}})
        self.commands = cast(Any, Commands())

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
