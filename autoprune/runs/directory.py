"""One directory with everything about one search: settings, events, archive, checkpoints, candidates.

config.yaml         settings as resolved, plus the record: versions, seeds, fingerprints
events.jsonl        what happened, in order
archive.sqlite      every candidate with its measurements, the reasoning graph, the replies of chat models
checkpoints.sqlite  where the state machine stands
recording.jsonl     with `llm.record`: every request to a chat model and its reply, to be replayed
candidates/<hash>.py

With the setting `database`, a schema of that PostgreSQL database takes the place of the two SQLite files.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from autoprune.config import Config
from autoprune.config_migration import migrated
from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs.contacts import check, confirm, contacts
from autoprune.runs.files import SIDE_FILES, open_file, read_bytes, write_atomically
from autoprune.runs.format import FORMAT, refuse_newer
from autoprune.runs.postgres import Schema, one_line
from autoprune.yaml_text import read_yaml

LOCK = "lock"
NAME_DIGITS = 16


def content_hash(source: str) -> str:
    """The name of a candidate: the first 16 hex digits of its source's SHA-256."""
    return full_hash(source)[:NAME_DIGITS]


def full_hash(source: str) -> str:
    """The whole SHA-256 of a source. A name is a part of it, for which two sources can be made to share one."""
    return hashlib.sha256(source.encode()).hexdigest()


def runs_root() -> Path:
    """Where runs go unless told otherwise: $AUTOPRUNE_RUNS, else ./runs."""
    return Path(os.environ.get("AUTOPRUNE_RUNS", "runs"))


class RunDirectory:
    """Paths and small files of one run. Opening one that is not a run raises UsageError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Path] = []
        self._found: set[Path] = set()
        """By `create`: directories that it made, the innermost first, and files that were there before."""

    @classmethod
    def create(cls, path: Path | None, config: Config) -> "RunDirectory":
        """Make a new run directory, and its schema where there is a database; refuses one that already holds a run."""
        if path is None:
            path = _fresh_path(runs_root(), config)
        run = cls(path)
        if os.path.lexists(run.settings_file):
            raise UsageError(f"{path} already holds a run; go on with it by `autoprune resume {path}`")
        run._made = [each for each in (run.candidates, path, *path.parents) if not each.exists()]
        run._found = {file for file in run._files() if os.path.lexists(file)}
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
        """Remove a run that this object made and that has not begun; what else is in its directory stays.

        `config`: its settings, if they know the database's password.
        """
        self._discard(self.schema(config))

    def _discard(self, schema: Schema | None) -> None:
        if schema is not None:
            with suppress(UsageError):  # of a database that cannot be reached any more
                schema.drop()
        for file in self._files():
            if file not in self._found:
                with suppress(FileNotFoundError, NotADirectoryError):
                    file.unlink()
        for folder in self._made:
            with suppress(OSError):  # somebody else put something there
                folder.rmdir()

    def _files(self) -> list[Path]:
        """The files that a run may have by the time it begins."""
        databases = [f"{file}{suffix}" for file in (self.archive_file, self.checkpoints_file) for suffix in SIDE_FILES]
        files = [self.settings_file, self.events_file, self.recording_file, self.path / LOCK, *map(Path, databases)]
        return [*files, *self.candidates.glob("*.py")]

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run, named by its path or by its name under the runs' root."""
        for candidate in (path, runs_root() / path):
            if (candidate / "config.yaml").is_file():
                run = cls(candidate)
                run.settings()
                return run
        raise UsageError(f"{path} is not a run directory (no config.yaml there); `autoprune runs` lists the runs")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def settings_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def candidates(self) -> Path:
        return self.path / "candidates"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def archive_file(self) -> Path:
        return self.path / "archive.sqlite"

    @property
    def checkpoints_file(self) -> Path:
        return self.path / "checkpoints.sqlite"

    @property
    def recording_file(self) -> Path:
        return self.path / "recording.jsonl"

    def settings(self) -> tuple[Config, dict[str, Any]]:
        """The resolved settings and the record (versions, seeds, fingerprints)."""
        config, record, _ = self._read_settings()
        return config, record

    def check_continuable(self) -> None:
        """Raises UsageError when a run was begun with a setting that is another constant by now."""
        if problems := self._read_settings()[2]:
            raise UsageError(f"{self.path} can be read, but not continued: {problems[0]}")

    def _read_settings(self) -> tuple[Config, dict[str, Any], list[str]]:
        """Settings, record, and what of an older run's settings can only be read."""
        try:
            tree = read_yaml(read_bytes(self.settings_file).decode())
            refuse_newer(self.path, tree["format"])
            if isinstance(tree["config"].get("approval_policy"), str):
                raise ValueError("approval_policy names a file, and a run's settings hold the policy itself")
            if isinstance(llm := tree["config"].get("llm"), dict):
                llm.setdefault("profile", "small")  # of the time when there was no other
            config, problems = migrated(tree["config"])
            return Config.model_validate(config), dict(tree["record"]), problems
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            reason = one_line(error)
            raise UsageError(f"{self.settings_file} cannot be read as a run's settings: {reason}") from None

    def write_settings(self, config: Config, record: dict[str, Any]) -> None:
        """Write config.yaml at once (a reader never sees half of it)."""
        tree = {"format": FORMAT, "config": config.model_dump(mode="json"), "record": record}
        write_atomically(self.settings_file, yaml.safe_dump(tree, sort_keys=False))

    def schema(self, config: Config | None = None) -> Schema | None:
        """Where the run is in a PostgreSQL database; None when it is in SQLite files. `config`: settings that know the
        database's password, or its new address. Raises UsageError when they would have it moved, and for a database of
        the run's own settings that the user has not confirmed."""
        remembered, record = self.settings()
        database = (config or remembered).database
        if (database is None) != ("schema" not in record):
            where = "SQLite files" if database else "a PostgreSQL database"
            raise UsageError(f"{self.path} is in {where}, and stays there; `autoprune fork` can go on elsewhere")
        if database is None:
            return None
        if remembered.database is not None and database.url == remembered.database.url:
            check(self.path, [database.url])
        return Schema(database, str(record["schema"]))

    def save_source(self, source: str) -> str:
        """Keep a candidate's source under its content hash; returns the hash, as many digits as tell it from others."""
        whole = full_hash(source)
        for name in (whole[:NAME_DIGITS], whole):
            path = self.candidates / f"{name}.py"
            if not os.path.lexists(path):
                write_atomically(path, source, self.path)
            if self.source(name) == source:
                return name
        raise AutoPruneError(f"{path} holds another source with the same SHA-256")

    def source(self, name: str) -> str:
        """The source of a candidate; raises AutoPruneError when the file does not match its name."""
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
        """Hold the run for this process; a second `search` or `resume` of the same run is refused."""
        with os.fdopen(open_file(self.path / LOCK, os.O_RDWR | os.O_CREAT), "rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{self.path} is being worked on by another process") from None
            yield


def list_runs(root: Path) -> list[RunDirectory]:
    """The runs below a root, oldest first."""
    return [RunDirectory(file.parent) for file in sorted(root.glob("*/config.yaml"))]


def _fresh_path(root: Path, config: Config) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    stem = f"{stamp}-{Path(config.model).name}-{round(config.sparsity * 100)}"
    path, again = root / stem, 1
    while path.exists():
        again += 1
        path = root / f"{stem}-{again}"
    return path
