"""Forking: a new run that starts from the state of another one after some generation, under changed settings."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver

from autoprune.agents.graph import search_graph
from autoprune.agents.session import THREAD
from autoprune.agents.state import SearchState
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.fork import copy_until

MEASURED = ("model", "sparsity", "device", "dtype", "data", "allocation")
"""Settings that every measurement depends on. Under others the origin's results would mean nothing."""


def fork_run(origin: RunDirectory, generation: int, config: Config, path: Path | None) -> RunDirectory:
    """Make the new run, which knows its origin. Raises UsageError for a state that is not there or a setting that is
    fixed."""
    before, record = origin.settings()
    changed = changes(before, config)
    refused = next((key for key in changed if key.split(".")[0] in MEASURED), None)
    if refused is not None:
        raise UsageError(f"{refused} decides what was measured, so a fork cannot change it; start a new search instead")
    state = state_after(origin, generation)
    run = RunDirectory.create(path, config)
    copy_until(origin, run, generation, changed)
    facts = {"run": str(origin.path), "generation": generation, "changed": changed}
    run.write_settings(config, {**record, "origin": facts})
    with closing(sqlite3.connect(run.checkpoints_file, check_same_thread=False)) as connection:
        search_graph(SqliteSaver(connection)).update_state(THREAD, state, as_node="analyse")
    return run


def state_after(run: RunDirectory, generation: int) -> SearchState:
    """The state of a run's checkpoint after a generation (0: after `prepare`). Raises UsageError if there is none."""
    states: dict[int, SearchState] = {}
    with closing(sqlite3.connect(run.checkpoints_file, check_same_thread=False)) as connection:
        for snapshot in search_graph(SqliteSaver(connection)).get_state_history(THREAD):
            if snapshot.next == ("plan",):
                number = snapshot.values["generation"]
                states[number] = {"generation": number, "plans": [], "ended": snapshot.values["ended"]}
    if generation not in states:
        known = ", ".join(map(str, sorted(states))) or "none"
        raise UsageError(f"{run.path} has no state after generation {generation}; it has those after: {known}")
    return states[generation]


def changes(before: Config, after: Config) -> dict[str, list[Any]]:
    """The settings that differ, as dotted keys, with their old and new values."""
    old, new = _flat(before.model_dump(mode="json")), _flat(after.model_dump(mode="json"))
    return {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return flat
