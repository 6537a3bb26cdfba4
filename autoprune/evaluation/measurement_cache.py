"""Measurements on disk, by content: what was measured once on this machine is not measured again, by whatever run.

The key is all that a measurement depends on: the candidate's source (or the baseline's name), target, texts, settings,
versions, threads, and the code that makes and measures masks (`code_fingerprint.py`). One SQLite file for all runs and
processes, each of which opens it for one statement at a time. A cache that cannot be used never stops a search: it is
done without, and one line says so.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock
from pydantic import TypeAdapter

from autoprune.downloads import cache_dir
from autoprune.evaluation.code_fingerprint import code_fingerprint
from autoprune.evaluation.ladder import Ladder
from autoprune.evaluation.measurement import Measurement, StoppedEarly
from autoprune.spare_cache import spare_cache

SCHEMA = 1
"""Version of the file's layout; a file of another version is put aside."""
PATIENCE = 30.0
"""Seconds to wait while another process writes."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""SQLite's codes for what a fresh file mends; the others (busy, full, read-only) it does not."""
CREATE = """CREATE TABLE measurements
(key TEXT PRIMARY KEY, measured INTEGER NOT NULL, record TEXT NOT NULL, signature BLOB NOT NULL, facts TEXT NOT NULL)"""
PUT = """INSERT INTO measurements VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET measured = excluded.measured,
record = excluded.record, signature = excluded.signature, facts = excluded.facts
WHERE excluded.measured > measurements.measured"""

Facts = dict[str, Any]
Known = tuple[Measurement, Facts]
Result = TypeVar("Result")

_RECORD = TypeAdapter(Measurement)
_FACTS = TypeAdapter(Facts)
_code = cache(code_fingerprint)


class MeasurementCache:
    """The file, made when it is first written to. Safe with several processes and threads."""

    def __init__(self, path: Path, notify: Callable[[str], None]) -> None:
        self._path = path
        self._notify = notify
        self._usable = True

    def measure_once(self, key: str, ladder: Ladder, measure: Callable[[], Known]) -> Known:
        """What is known under a key, as this ladder would have it, else what `measure` finds, which is kept.

        A measurement that was found has no seconds and says `cached` among its facts. What a ladder stopped early is
        kept as well. Raises what the ladder and `measure` raise.
        """
        found = self.get(key)
        if found is not None:
            known, facts = found
            facts = {**facts, "cached": True}
            try:
                replayed = ladder.replay(known)
            except StoppedEarly as stopped:
                stopped.facts = facts
                raise
            if replayed is not None:
                return replayed, facts
        try:
            measured, facts = measure()
        except StoppedEarly as stopped:
            self.put(key, stopped.partial, stopped.facts)
            raise
        self.put(key, measured, facts)
        return measured, facts

    def get(self, key: str) -> Known | None:
        """The longest measurement under a key, or None."""
        if not os.access(self._path, os.R_OK):
            return None
        query = "SELECT record, signature, facts FROM measurements WHERE key = ?"
        row = self._do(lambda file: file.execute(query, (key,)).fetchone())
        if row is None:
            return None
        try:
            measured = _RECORD.validate_python({**json.loads(row[0]), "signature": row[1]})
            return measured, _FACTS.validate_json(row[2])
        except (ValueError, TypeError) as error:
            self._put_aside(self._identity(), f"a record cannot be read: {error}")
            return None

    def put(self, key: str, measured: Measurement, facts: Facts) -> None:
        """Keep a measurement, unless a longer one is there, it came to nothing that a rung asks for, or the candidate
        is known to give something else each time."""
        found = measured.window_losses or measured.layer_errors
        if not found or facts.get("repeats") is False:
            return
        record = {name: value for name, value in asdict(measured).items() if name != "signature"}
        row = (key, len(measured.window_losses), json.dumps(record), measured.signature, json.dumps(facts))
        self._do(lambda file: file.execute(PUT, row))

    def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Do some work in one transaction, on a fresh file if this one is damaged; None where there can be no file."""
        if not self._usable:
            return None
        try:
            found = self._identity()
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in DAMAGE:
                    raise
                self._put_aside(found, str(error))
                return self._transact(work)
        except (OSError, sqlite3.Error) as error:
            self._usable = False
            self._notify(f"measurements are not cached, since {self._path} cannot be used: {error}")
            return None

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            self._path.touch()  # with the mode that the umask gives, which SQLite does not ask
        with closing(sqlite3.connect(self._path, timeout=PATIENCE)) as file, file:
            version = _version(file)
            if version == 0:
                file.execute("BEGIN IMMEDIATE")
                version = _version(file)  # another process may have made the table meanwhile
            if version == 0:
                file.execute(CREATE)
                file.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise sqlite3.DatabaseError(f"its layout is {version}, not {SCHEMA}")
            return work(file)

    def _identity(self) -> int | None:
        """Which file is there now; None: there is none."""
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _put_aside(self, damaged: int | None, why: str) -> None:
        """Rename a file that cannot be read, unless another process has done so in the meantime."""
        with FileLock(self._path.with_name(f".{self._path.name}.lock")):
            if damaged is not None and self._identity() == damaged:
                aside = self._path.with_name(f"{self._path.name}.damaged")
                os.replace(self._path, aside)
                reason = " ".join(why.split())[:200]
                self._notify(f"the cache of measurements was damaged ({reason}); it is now {aside}, a new one begins")


def _version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def user_cache(notify: Callable[[str], None]) -> MeasurementCache:
    """The one in the user's cache directory; where that cannot be written, which was said, what it holds is used."""
    return MeasurementCache(cache_dir() / "measurements.sqlite", notify if spare_cache() is None else lambda line: None)


def measurement_key(**facts: Any) -> str:
    """The key for all that a measurement depends on, as plain data; the code is added here, and the threads of this
    process unless it was measured with others."""
    whole = {"threads": torch.get_num_threads(), **facts, "code": _code()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
