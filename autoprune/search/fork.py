"""Forks a run: a new run starts from the state after one of its generations, with changed settings."""

from contextlib import closing
from pathlib import Path
from typing import Any

from autoprune.config import Config, flat_settings
from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs.archive import Archive
from autoprune.runs.contacts import admit
from autoprune.runs.directory import RunDirectory
from autoprune.runs.facts import reading_facts
from autoprune.runs.fork import copy_until
from autoprune.search.checkpoints import THREAD, open_checkpoints, reading
from autoprune.search.state import SearchState, checked
from autoprune.search.state_machine import search_graph

MEASURED = ("model", "sparsity", "device", "dtype", "data", "allocation", "search.structure", "search.compensate")
"""Settings, or groups of them, that every measurement depends on, which a fork cannot change."""


def fork_run(origin: RunDirectory, generation: int | None, config: Config, path: Path | None) -> RunDirectory:
    """Make the new run. `generation`: None for the last.

    Raises UsageError for a missing state, or a changed setting that is fixed.
    """
    former, record = origin.settings()
    admit(origin.path, former, config)
    changed = changes(former, config)
    refused = next((key for key in changed if {key, key.split(".")[0]} & set(MEASURED)), None)
    if refused is not None:
        raise UsageError(f"measurements depend on {refused}, so a fork cannot change it; start a new search instead")
    # If both use the same database, the password given for the fork opens the origin as well.
    access = config if config.database == former.database else former
    state = state_after(origin, access, generation)
    run = RunDirectory.create(path, config)
    try:
        _fill(run, config, origin, access, record, state, changed)
    except AutoPruneError:
        run.discard(config)
        raise
    return run


def _fill(
    run: RunDirectory,
    config: Config,
    origin: RunDirectory,
    access: Config,
    record: dict[str, Any],
    state: SearchState,
    changed: dict[str, list[Any]],
) -> None:
    """Copy the origin's history into the new run. `access`: settings that open the origin's database."""
    generation = state["generation"]
    facts = {"run": str(origin.path), "generation": generation, "changed": changed}
    inherited = {fact: record[fact] for fact in record if fact != "schema"}
    run.write_settings(config, {**inherited, **run.settings()[1], "origin": facts})
    with closing(Archive.of(origin, access)) as old, closing(Archive.of(run, config)) as new, reading_facts(origin):
        copy_until(origin, old, run, new, generation, changed)
    with open_checkpoints(run, config) as checkpoints:
        search_graph(checkpoints).update_state(THREAD, state, as_node="analyse")


def state_after(run: RunDirectory, config: Config, generation: int | None) -> SearchState:
    """The state of the checkpoint after a generation (0: after `prepare`; None: the last). Raises UsageError."""
    states: dict[int, SearchState] = {}
    with open_checkpoints(run, config) as checkpoints, reading(run):
        for snapshot in search_graph(checkpoints).get_state_history(THREAD):
            if snapshot.next == ("plan",):
                values = checked(snapshot.values, run.path)
                number = values.get("generation", 0)
                states[number] = {
                    "generation": number,
                    "plans": [],
                    "ended": values.get("ended", 0),
                    "deepened": values.get("deepened", False),
                    "polished": values.get("polished", False),
                }
    chosen = max(states, default=None) if generation is None else generation
    if chosen is None or chosen not in states:
        available = ", ".join(map(str, sorted(states))) or "none"
        after = "any generation" if chosen is None else f"generation {chosen}"
        raise UsageError(f"{run.path} has no state after {after}; available generations: {available}")
    return states[chosen]


def changes(before: Config, after: Config) -> dict[str, list[Any]]:
    """The settings that differ, as dotted keys, with their old and new values."""
    old, new = flat_settings(before), flat_settings(after)
    return {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}
