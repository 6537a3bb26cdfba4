"""Making a fork of a run, for the command and for the live page."""

from pathlib import Path

from autoprune.api.run_data import look_over
from autoprune.config import Config, change_config
from autoprune.runs.contacts import confirm_named
from autoprune.runs.directory import RunDirectory


def fork_settings(origin: RunDirectory, words: list[str]) -> Config:
    """The settings of a fork: those of `origin`, changed by the user's `key=value` words, whose addresses are
    confirmed. Raises UsageError."""
    origin.check_continuable()
    config = change_config(origin.settings()[0], words)
    confirm_named(origin.path, origin.settings()[0], words)
    return config


def make_fork(origin: RunDirectory, at: int | None, config: Config, path: Path | None) -> RunDirectory:
    """A new run that starts from the state after generation `at` (None: the last). Raises UsageError."""
    from autoprune.search.fork import fork_run

    before = origin.settings()[0]
    look_over(origin, config if config.database == before.database else before)
    return fork_run(origin, at, config, path)
