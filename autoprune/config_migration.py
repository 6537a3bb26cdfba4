"""Migration of settings from former keys, in files of settings, run directories, recordings and `key=value` words.

A setting that has become a constant is dropped if it has the constant's value. With another value, a file, word or
recording is rejected, and a run can be read but not resumed.
"""

import logging
from collections.abc import Iterator
from typing import Any

from autoprune.errors import UsageError

logger = logging.getLogger(__name__)

MOVED = {
    "memory_gb": "advanced.memory_gb",
    "agents.revisions": "advanced.revisions",
    "agents.symbolic_first": "advanced.symbolic_first",
    "agents.veto": "advanced.veto",
    "search.baseline_allocations": "baselines.allocations",
    "search.baseline_refinements": "baselines.refinements",
    "search.baseline_scores": "baselines.scores",
    "search.cache": "advanced.cache",
    "search.confirm_baselines": "confirmation.baselines",
    "search.confirm_patterns": "confirmation.patterns",
    "search.confirm_seeds": "confirmation.seeds",
    "search.confirm_sparsities": "confirmation.sparsities",
    "search.deepen": "advanced.deepen",
    "search.finalists": "confirmation.finalists",
    "search.layer_error": "advanced.layer_error",
    "search.polish": "advanced.polish",
    "search.racing": "advanced.racing",
    "search.transfer_model": "confirmation.transfer_model",
    "search.transfer_windows": "confirmation.transfer_windows",
    "search.tune_baselines": "baselines.tune",
    "search.tune_elsewhere": "confirmation.tune_elsewhere",
}
"""Former key -> present key."""
CONSTANTS = {
    "agents.tool_rounds": 3,
    "allocation.preset": "default",
    "llm.port": 0,
    "sandbox.output_kb": 64,
    "search.elite": 2,
    "search.islands": 2,
    "search.migration": 4,
    "search.racing_error": 0.05,
}
"""Former key -> value of the constant."""
SAID = 100
"""Maximum characters of a value in an error."""


def migrated(tree: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A tree of settings under present keys, and one line for each value that cannot be migrated."""
    tree = {key: dict(value) if isinstance(value, dict) else value for key, value in tree.items()}
    _name_preset(tree)
    problems = []
    for key in (*MOVED, *CONSTANTS):
        group, _, name = key.rpartition(".")
        holder = tree.get(group) if group else tree
        if not isinstance(holder, dict) or name not in holder:
            continue
        value = holder.pop(name)
        if key in CONSTANTS:
            problems += _problems(key, value)
            continue
        group, _, name = MOVED[key].partition(".")
        holder = tree.setdefault(group, {})
        if isinstance(holder, dict) and name in holder:
            problems.append(f"{key} is {MOVED[key]} now, and both are given")
        elif isinstance(holder, dict):
            holder[name] = value
    return tree, problems


def migrated_setting(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The present settings for a dotted key and its value: one or none, or for a group also those moved out of it.

    Raises UsageError for a value that cannot be migrated.
    """
    if key in CONSTANTS:
        for problem in _problems(key, value):
            raise UsageError(problem)
    elif key in MOVED:
        yield MOVED[key], value
    elif isinstance(value, dict) and "." not in key:
        tree, problems = migrated({key: value})
        if problems:
            raise UsageError(problems[0])
        yield key, tree.pop(key)
        for group, left in tree.items():
            yield from ((f"{group}.{name}", item) for name, item in left.items())
    else:
        yield key, value


def log_move(key: str) -> None:
    """Log the present key of a moved one."""
    if key in MOVED:
        logger.warning("%s is %s now", key, MOVED[key])


def _name_preset(tree: dict[str, Any]) -> None:
    """Name the allocation that candidates had under SDSA's former preset `paper`, for runs that are read.

    The preset remains a problem, since it changed the SDSA of baselines, too.
    """
    allocation = tree.get("allocation")
    if not isinstance(allocation, dict) or allocation.get("preset") != "paper":
        return
    changed = allocation.get("tune") or any(allocation.get(key) is not None for key in ("kappa", "tau", "delta"))
    if allocation.get("name", "sdsa") == "sdsa" and not changed:
        allocation["name"] = "sdsa-paper"


def _problems(key: str, value: Any) -> list[str]:
    if value == CONSTANTS[key]:
        return []
    instead = (
        "the allocation sdsa-paper has its constants"
        if key == "allocation.preset"
        else f"it is always {CONSTANTS[key]}"
    )
    return [f"{key}={' '.join(str(value).split())[:SAID]} is no setting any more; {instead}"]
