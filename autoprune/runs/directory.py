"""The run directory, with everything about one search.

config.yaml         resolved settings, and the record: versions, seeds, fingerprints
events.jsonl        all events in order
archive.sqlite      candidates with their measurements, the reasoning graph, replies of chat models
checkpoints.sqlite  checkpoints of the state machine
recording.jsonl     with `llm.record`: all requests to chat models with their replies, for replay
candidates/<hash>.py
tracking/           files of an experiment tracker
lock, page.lock     held by the process that works on the run, and by those that serve its live page
stop                a request that the search ends (`control`)

With the setting `database`, a schema of that PostgreSQL database replaces the two SQLite files.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from autoprune.config import Config
from autoprune.config_migration import migrated
from autoprune.errors import AutoPruneError, UsageError, message_of
from autoprune.runs.contacts import check, confirm, contacts
from autoprune.runs.files import SIDE_FILES, is_locked, open_file, read_bytes, write_atomically
from autoprune.runs.format import FORMAT, refuse_newer
from autoprune.runs.postgres import Schema
from autoprune.yaml_text import read_yaml

LOCK = "lock"
PAGE_LOCK = "page.lock"
STOP = "stop"
NAME_DIGITS = 16
PREFIX = 4
"""Letters of the shortest prefix of a run's name that stands for the run."""


def content_hash(source: str) -> str:
    """The name of a candidate: the first 16 hex digits of its source's SHA-256."""
    return full_hash(source)[:NAME_DIGITS]


def full_hash(source: str) -> str:
    """The full SHA-256 of a source. Two sources can be made to share a candidate's name, which is only its prefix."""
    return hashlib.sha256(source.encode()).hexdigest()


def runs_root() -> Path:
    """The default folder of runs: $AUTOPRUNE_RUNS, else ./runs."""
    return Path(os.environ.get("AUTOPRUNE_RUNS", "runs"))


LOCK_TRIES, LOCK_PAUSE = 5, 0.05
"""Further attempts to lock a run, and the seconds between them: `in_use` holds its lock for an instant."""


class RunDirectory:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.settings_file = path / "config.yaml"
        self.candidates = path / "candidates"
        self.events_file = path / "events.jsonl"
        self.archive_file = path / "archive.sqlite"
        self.checkpoints_file = path / "checkpoints.sqlite"
        self.recording_file = path / "recording.jsonl"
        self.tracking = path / "tracking"
        self._made: list[Path] = []
        self._existing: set[Path] = set()
        """Set by `create`: directories that it made, innermost first, and files that existed before."""

    @classmethod
    def create(cls, path: Path | None, config: Config) -> "RunDirectory":
        """Make a new run directory, and its schema if there is a database. Raises UsageError if it holds a run."""
        if path is None:
            path = _fresh_path(runs_root(), config)
        run = cls(path)
        if os.path.lexists(run.settings_file):
            raise UsageError(f"{path} already contains a run; continue it with `autoprune resume {path}`")
        run._made = [folder for folder in (run.candidates, path, *path.parents) if not folder.exists()]
        run._existing = {file for file in (*run._files(), run.tracking) if os.path.lexists(file)}
        schema = None
        confirm(path, contacts(config))
        try:
            run.candidates.mkdir(parents=True, exist_ok=True)
            schema = Schema.create(config.database, run.name) if config.database else None
            run.write_settings(config, {"schema": schema.name} if schema else {})
        except (OSError, AutoPruneError) as error:
            run._discard(schema)
            if isinstance(error, AutoPruneError):
                raise
            raise AutoPruneError(f"cannot make the run directory {path}: {error.strerror}") from None
        return run

    def discard(self, config: Config) -> None:
        """Remove a run that this object made and that has not begun, except files that existed before.

        `config`: its settings, if they hold the database's password.
        """
        self._discard(self.schema(config))

    def _discard(self, schema: Schema | None) -> None:
        if schema is not None:
            with suppress(UsageError):  # if the database cannot be reached any more
                schema.drop()
        for file in self._files():
            if file not in self._existing:
                with suppress(FileNotFoundError, NotADirectoryError):
                    file.unlink()
        if self.tracking not in self._existing:
            shutil.rmtree(self.tracking, ignore_errors=True)  # a tracker's own process may still write there
        for folder in self._made:
            with suppress(OSError):  # if it holds other files
                folder.rmdir()

    def _files(self) -> list[Path]:
        """The files that a run may have when it begins."""
        databases = [f"{file}{suffix}" for file in (self.archive_file, self.checkpoints_file) for suffix in SIDE_FILES]
        files = [self.settings_file, self.events_file, self.recording_file, *map(Path, databases)]
        notes = [self.path / name for name in (LOCK, PAGE_LOCK, STOP)]
        return [*files, *notes, *self.candidates.glob("*.py")]

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run, by its path, by its name in the folder of runs, or by a unique prefix of that name.

        Raises UsageError.
        """
        named = [
            run.path for run in list_runs(runs_root()) if len(str(path)) >= PREFIX and run.name.startswith(str(path))
        ]
        for candidate in (path, runs_root() / path, *(named if len(named) == 1 else ())):
            if (candidate / "config.yaml").is_file():
                run = cls(candidate)
                run.settings()
                return run
        if named:
            raise UsageError(f"{path} begins the names of {len(named)} runs: {', '.join(run.name for run in named)}")
        raise UsageError(f"{path} is not a run directory (no config.yaml there); `autoprune runs` lists the runs")

    def settings(self) -> tuple[Config, dict[str, Any]]:
        """The resolved settings and the record (versions, seeds, fingerprints)."""
        config, record, _ = self._read_settings()
        return config, record

    def check_continuable(self) -> None:
        """Raises UsageError if the run began with a value of a former setting that is no longer supported."""
        if problems := self.outdated_settings():
            raise UsageError(f"{self.path} can be read, but not continued: {problems[0]}")

    def outdated_settings(self) -> list[str]:
        """One line for each value of a former setting that is no longer supported."""
        return self._read_settings()[2]

    def _read_settings(self) -> tuple[Config, dict[str, Any], list[str]]:
        """Settings, record, and reasons why an older run cannot be continued."""
        try:
            tree = read_yaml(read_bytes(self.settings_file).decode())
            refuse_newer(self.path, tree["format"])
            if isinstance(tree["config"].get("approval_policy"), str):
                raise ValueError("approval_policy names a file, and a run's settings hold the policy itself")
            if isinstance(llm := tree["config"].get("llm"), dict):
                llm.setdefault("profile", "small")  # the only one in runs without this setting
            config, problems = migrated(tree["config"], stored=True)
            return Config.model_validate(config), dict(tree["record"]), problems
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{self.settings_file} cannot be read as a run's settings: {message_of(error)}") from None

    def write_settings(self, config: Config, record: dict[str, Any]) -> None:
        tree = {"format": FORMAT, "config": config.model_dump(mode="json"), "record": record}
        write_atomically(self.settings_file, yaml.safe_dump(tree, sort_keys=False))

    def schema(self, config: Config | None = None) -> Schema | None:
        """The run's schema in a PostgreSQL database; None if it is in SQLite files.

        `config`: settings with the database's password or new address. Raises UsageError if they would move the run to
        another kind of database, and for a database of the run's own settings that the user has not confirmed.
        """
        stored, record = self.settings()
        database = (config or stored).database
        if (database is None) != ("schema" not in record):
            where = "SQLite files" if database else "a PostgreSQL database"
            raise UsageError(f"{self.path} is in {where} and cannot be moved; `autoprune fork` can continue elsewhere")
        if database is None:
            return None
        if stored.database is not None and database.url == stored.database.url:
            check(self.path, [database.url])
        return Schema(database, str(record["schema"]))

    def save_source(self, source: str) -> str:
        """Store a candidate's source; returns its content hash, in full if another source has the same prefix."""
        digest = full_hash(source)
        for name in (digest[:NAME_DIGITS], digest):
            path = self.candidates / f"{name}.py"
            if not os.path.lexists(path):
                write_atomically(path, source, self.path)
            if self.source(name) == source:
                return name
        raise AutoPruneError(f"{path} holds another source with the same SHA-256")

    def source(self, name: str) -> str:
        """The source of a candidate. Raises AutoPruneError if the file does not match its name."""
        path = self.candidates / f"{name}.py"
        try:
            source = read_bytes(path, self.path).decode()
        except (OSError, ValueError):
            raise AutoPruneError(f"candidate {name} is missing or unreadable in {self.candidates}") from None
        if len(name) < NAME_DIGITS or not full_hash(source).startswith(name):
            raise AutoPruneError(f"{path} was changed after it was recorded; its content no longer matches its name")
        return source

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run for this process. Raises UsageError if another process works on it."""
        with os.fdopen(open_file(self.path / LOCK, os.O_RDWR | os.O_CREAT), "rb") as handle:
            for last in (False,) * LOCK_TRIES + (True,):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if last:
                        raise UsageError(f"{self.path} is being worked on by another process") from None
                time.sleep(LOCK_PAUSE)
            yield

    @property
    def in_use(self) -> bool:
        """Whether a process, which may be this one, works on the run."""
        return is_locked(self.path / LOCK, fcntl.LOCK_SH)


def list_runs(root: Path) -> list[RunDirectory]:
    return [RunDirectory(file.parent) for file in sorted(root.glob("*/config.yaml"))]


def _fresh_path(root: Path, config: Config) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    stem = f"{stamp}-{Path(config.model).name}-{round(config.sparsity * 100)}"
    path, number = root / stem, 1
    while path.exists():
        number += 1
        path = root / f"{stem}-{number}"
    return path


MOST_MODELS = 3


def recording_line(facts: Mapping[str, Any]) -> str:
    """One line from the record's `replay`: the recorded models and date."""
    models = [str(model)[:100] for model in facts["models"]]
    more = f" and {len(models) - MOST_MODELS} more" if len(models) > MOST_MODELS else ""
    return (
        f"the agents' replies were recorded on {str(facts['date'])[:10]} from {', '.join(models[:MOST_MODELS])}{more}: "
        "no model is called and nothing is paid (tokens are those of the recording); all measurements are made on this "
        "machine"
    )
