"""One process' life on a run, which may end by SIGKILL at a chosen moment: what the tests of crashes are made of."""

import itertools
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from autoprune.config import Config
from autoprune.errors import RunPaused
from autoprune.evaluation.bench import Bench
from autoprune.llm.provider import choose_llm
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.runs.measurement import Measurement
from autoprune.search.session import open_context, work
from tests.remembered import make_in_advance, remember
from tests.warm_zygotes import fork_zygotes, server

ENDS = {0: "ended", 3: "paused", -signal.SIGKILL: "killed"}


def live(path: Path, config: Config, log: type[EventLog] = EventLog) -> RunDirectory:
    """Start the run of this directory, or go on with it, in this process."""
    directory = RunDirectory(path) if path.exists() else RunDirectory.create(path, config)
    events = log(directory.events_file)
    try:
        with open_context(directory, config, choose_llm(config.llm), events) as context:
            work(context)
    finally:
        events.close()
    return directory


class Nursery:
    """A process that has opened the bench, and forks lives: none of them pays for imports, the model or the texts."""

    def __init__(self, config: Config, cache: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_nurse, args=(theirs, config, cache, server.address()))
        self._process.start()
        theirs.close()

    def live(self, path: Path, config: Config, **death: int) -> str:
        """One life, and how it ended. `event` or `put`: it dies before it does this for the n-th time."""
        self._pipe.send((path, config, death))
        code = self._pipe.recv()
        return ENDS[code]

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def measured_in(path: Path) -> list[str]:
    """Subject, split and key of every measurement that any life has kept, in order."""
    return path.with_suffix(".measured").read_text().splitlines()


def _nurse(pipe: Connection, config: Config, cache: Path, zygotes: str) -> None:
    fork_zygotes(zygotes)
    os.environ |= {"AUTOPRUNE_CACHE": str(cache), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    from autoprune.measuring import opening

    remember(pytest.MonkeyPatch())
    make_in_advance(None)
    bench = opening.open_bench(config, None)

    def open_again(config: Config, *_: object) -> Bench:
        bench._config = config  # a life may have other settings of the search; target and texts are those of all
        return bench

    opening.open_bench = open_again
    context = multiprocessing.get_context("fork")
    while True:
        try:
            life = context.Process(target=_life, args=pipe.recv())
        except EOFError:
            return
        life.start()
        life.join()
        pipe.send(life.exitcode)


def _life(path: Path, config: Config, death: dict[str, int]) -> None:
    moments = {name: itertools.count(1) for name in death}

    def pass_by(name: str) -> None:
        if name in death and next(moments[name]) == death[name]:
            os.kill(os.getpid(), signal.SIGKILL)

    class MortalLog(EventLog):
        def emit(self, *words: Any, **data: Any) -> None:
            pass_by("event")
            super().emit(*words, **data)

    _watch_checkpoints(pass_by)
    _watch_measurements(path.with_suffix(".measured"))
    try:
        live(path, config, MortalLog)
    except RunPaused as paused:
        sys.exit(paused.exit_code)


def _watch_checkpoints(pass_by: Any) -> None:
    from langgraph.checkpoint.postgres import PostgresSaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    for saver in (SqliteSaver, PostgresSaver):
        _watch_puts(saver, pass_by)


def _watch_puts(saver: Any, pass_by: Any) -> None:
    put = saver.put

    def watched(self: Any, *words: Any, **named: Any) -> Any:
        pass_by("put")
        return put(self, *words, **named)

    saver.put = watched


def _watch_measurements(log: Path) -> None:
    keep = Archive.add_measurement

    def watched(self: Archive, key: str, measured: Measurement) -> None:
        keep(self, key, measured)
        with log.open("a") as lines:
            lines.write(f"{measured.subject} {measured.split} {key}\n")

    Archive.add_measurement = watched  # type: ignore[method-assign]
