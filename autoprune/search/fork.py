"""Forking: a new run that starts from the state of another one after some generation, under changed settings."""

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

MEASURED = ("model", "sparsity", "device", "dtype", "data", "allocation")
"""Settings that every measurement depends on. Under others the origin's results would mean nothing."""


def fork_run(origin: RunDirectory, generation: int | None, config: Config, path: Path | None) -> RunDirectory:
    """Make the new run, which knows its origin. `generation`: None for the last.

    Raises UsageError for a state that is not there or a setting that is fixed.
    """
    before, record = origin.settings()
    admit(origin.path, before, config)
    changed = changes(before, config)
    refused = next((key for key in changed if key.split(".")[0] in MEASURED), None)
    if refused is not None:
        raise UsageError(f"{refused} decides what was measured, so a fork cannot change it; start a new search instead")
    # With the same database for both, a password that was given for the fork opens the origin too.
    theirs = config if config.database == before.database else before
    state = state_after(origin, theirs, generation)
    run = RunDirectory.create(path, config)
    try:
        _fill(run, config, origin, theirs, record, state, changed)
    except AutoPruneError:
        run.discard(config)
        raise
    return run


def _fill(
    run: RunDirectory,
    config: Config,
    origin: RunDirectory,
    theirs: Config,
    record: dict[str, Any],
    state: SearchState,
    changed: dict[str, list[Any]],
) -> None:
    """Give the new run the origin's past. `theirs`: settings that open the origin's database."""
    generation = state["generation"]
    facts = {"run": str(origin.path), "generation": generation, "changed": changed}
    inherited = {fact: record[fact] for fact in record if fact != "schema"}
    run.write_settings(config, {**inherited, **run.settings()[1], "origin": facts})
    with closing(Archive.of(origin, theirs)) as old, closing(Archive.of(run, config)) as new, reading_facts(origin):
        copy_until(origin, old, run, new, generation, changed)
    with open_checkpoints(run, config) as checkpoints:
        search_graph(checkpoints).update_state(THREAD, state, as_node="analyse")


def state_after(run: RunDirectory, config: Config, generation: int | None) -> SearchState:
    """The state of a run's checkpoint after a generation (0: after `prepare`; None: after the last that there is).

    Raises UsageError if there is none.
    """
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
    wanted = max(states, default=None) if generation is None else generation
    if wanted is None or wanted not in states:
        known = ", ".join(map(str, sorted(states))) or "none"
        after = "any generation" if wanted is None else f"generation {wanted}"
        raise UsageError(f"{run.path} has no state after {after}; it has those after: {known}")
    return states[wanted]


def changes(before: Config, after: Config) -> dict[str, list[Any]]:
    """The settings that differ, as dotted keys, with their old and new values."""
    old, new = flat_settings(before), flat_settings(after)
    return {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}
