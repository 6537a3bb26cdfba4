"""The user's cache of measurements for all runs, in one SQLite file.

The key is a hash of all that a measurement depends on (`measurement_spec`). Each process opens the file for one
transaction at a time. An unusable cache never stops a search: it is disabled with a warning.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from autoprune.cache import spare_cache
from autoprune.downloads import cache_dir
from autoprune.evaluation.ladder import Ladder
from autoprune.runs.measurement import Measurement

logger = logging.getLogger(__name__)
SCHEMA = 2
"""Version of the layout; a file of another version is renamed and replaced."""
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""SQLite's error codes that a new file resolves, unlike busy, full or read-only."""
CREATE = """CREATE TABLE measurements
(key TEXT PRIMARY KEY, measured INTEGER NOT NULL, record TEXT NOT NULL, signature BLOB NOT NULL)"""
PUT = """INSERT INTO measurements VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET measured = excluded.measured,
record = excluded.record, signature = excluded.signature
WHERE excluded.measured > measurements.measured"""

Result = TypeVar("Result")


class MeasurementCache:
    """The cache in one file, which is created at the first write. Safe for several processes and threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._level = logging.WARNING if spare_cache() is None else logging.DEBUG  # the spare cache was logged before
        self._usable = True

    def find(self, key: str, ladder: Ladder) -> Measurement | None:
        """The result of this ladder for a cached measurement, with `cached` set and no seconds; None on a miss.

        Raises what the ladder raises.
        """
        cached = self.get(key)
        return None if cached is None else ladder.replay(cached.model_copy(update={"cached": True}))

    def get(self, key: str) -> Measurement | None:
        """The longest measurement under a key, or None."""
        if not os.access(self._path, os.R_OK):
            return None
        query = "SELECT record, signature FROM measurements WHERE key = ?"
        row = self._do(lambda file: file.execute(query, (key,)).fetchone())
        if row is None:
            return None
        try:
            return Measurement.model_validate_json(row[0]).model_copy(update={"signature": row[1]})
        except ValueError as error:
            self._put_aside(self._identity(), f"a record cannot be read: {error}")
            return None

    def put(self, key: str, measured: Measurement) -> None:
        """Store a measurement, unless a longer one is stored, it holds nothing that a rung needs, or its candidate is
        not repeatable."""
        if not (measured.window_losses or measured.layer_errors) or measured.repeats is False:
            return
        record = measured.model_dump_json(exclude={"signature"})
        row = (key, len(measured.window_losses), record, measured.signature)
        self._do(lambda file: file.execute(PUT, row))

    def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Run `work` in one transaction, on a new file if this one is damaged; None if the cache is unusable."""
        if not self._usable:
            return None
        try:
            inode = self._identity()
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in DAMAGE:
                    raise
                self._put_aside(inode, str(error))
                return self._transact(work)
        except (OSError, sqlite3.Error) as error:
            self._usable = False
            logger.log(self._level, f"measurements are not cached, since {self._path} cannot be used: {error}")
            return None

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._path.touch()  # with the mode of the umask, which SQLite ignores
        with closing(sqlite3.connect(self._path, timeout=PATIENCE)) as file, file:
            version = _version(file)
            if version == 0:
                file.execute("BEGIN IMMEDIATE")
                version = _version(file)  # another process may have created the table
            if version == 0:
                file.execute(CREATE)
                file.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise sqlite3.DatabaseError(f"its layout is {version}, not {SCHEMA}")
            return work(file)

    def _identity(self) -> int | None:
        """The inode of the file; None if there is none."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _put_aside(self, damaged: int | None, why: str) -> None:
        """Rename a damaged file, unless another process has already done so."""
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            if damaged is not None and self._identity() == damaged:
                aside = self._path.with_name(f"{self._path.name}.damaged")
                os.replace(self._path, aside)
                reason = " ".join(why.split())[:200]
                line = f"the cache of measurements cannot be read ({reason}); it is now {aside}, a new one begins"
                logger.log(self._level, line)


def _version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def user_cache() -> MeasurementCache:
    """The cache in the user's cache directory, which is used for reading even if it cannot be written."""
    return MeasurementCache(cache_dir() / "measurements.sqlite")
