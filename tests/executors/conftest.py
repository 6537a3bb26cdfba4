"""Whole searches under several executors, what they found without times, and a way to kill a worker at its work."""

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoprune.config import load_config
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events
from tests.search.kept import kept
from tests.search.lives import live
from tests.small_search import SMALL

WORDS = (
    "search.max_candidates=16",
    "search.generation_size=4",
    "confirmation.seeds=1",
    "data.search_windows=8",
)
ANEW = ("seconds", "memory_bytes")
"""What of a measurement is another one each time."""
ZYGOTE = "autoprune.sandbox.inside.zygote"
PATIENCE = 300.0

Searched = Callable[..., RunDirectory]


@pytest.fixture(scope="session")
def searched(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Run the search of 16 candidates, with these words, under a name, and with this log of events."""
    home = tmp_path_factory.mktemp("searched")

    def run(name: str, *words: str, log: type[EventLog] = EventLog) -> RunDirectory:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
            return live(home / name, load_config(None, [f"model={tiny_model}", *SMALL, *WORDS, *words]), log)

    return run


@pytest.fixture(scope="session")
def reference(searched: Searched) -> dict[str, Any]:
    """What the search finds when everything is measured in one process."""
    return archived(searched("here"))


def archived(run: RunDirectory) -> dict[str, Any]:
    """All that a run's archive holds, but for order and times."""

    def lasting(data: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in data.items() if key not in ANEW}

    archive = Archive(run.archive_file)
    try:
        rows = kept(archive, "search", "report")
        return {
            "outcomes": [vars(each) | {"data": lasting(each.data)} for each in archive.outcomes()],
            "proposals": [vars(each) for each in archive.proposals()],
            "measurements": {(row.subject, row.split, key): lasting(row.model_dump()) for key, row in rows},
            "rows": len(rows),
            "nodes": sorted(json.dumps(vars(each), sort_keys=True) for each in archive.nodes()),
            "edges": sorted(json.dumps(vars(each), sort_keys=True) for each in archive.edges()),
        }
    finally:
        archive.close()


def differences(found: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    """Where two archives differ, at most a few places; none where they are the same."""
    one, other = dict(_leaves(found)), dict(_leaves(reference))
    places = sorted(place for place in one.keys() | other.keys() if one.get(place) != other.get(place))
    return [f"{place}: {one.get(place)!r:.200}, not {other.get(place)!r:.200}" for place in places[:20]]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{place}/{key}")
    else:
        yield place, value


def notices(run: RunDirectory) -> list[str]:
    """Every line that the run said beside its results."""
    return [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]


def killing_log(after: int) -> type[EventLog]:
    """A log of events in whose run a worker is killed once so many candidates have ended."""
    ended = itertools.count(1)

    class KillingLog(EventLog):
        def emit(self, kind: Any, key: str | None = None, **data: Any) -> None:
            super().emit(kind, key, **data)
            if kind == "ended" and next(ended) == after:
                threading.Thread(target=kill_at_work).start()

    return KillingLog


def kill_at_work() -> None:
    """`kill -9` one of this process' workers while a candidate of its own is in its sandbox."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for zygote in _zygotes():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker = zygote.ppid()
                if worker == os.getpid() or not zygote.children():
                    continue
                os.kill(worker, signal.SIGSTOP)  # so that the candidate that was seen cannot be done with
                if zygote.children():
                    os.kill(worker, signal.SIGKILL)
                    return
                os.kill(worker, signal.SIGCONT)
    raise AssertionError("no worker was ever seen at work")


def _zygotes() -> list[psutil.Process]:
    """The warm sandboxes of this process' workers, wherever below it they are."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            parent = process.parent()
            if ZYGOTE in process.cmdline() and parent is not None and ZYGOTE not in parent.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
