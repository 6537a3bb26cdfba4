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
    "advanced.veto": False,
    "agents.tool_rounds": 3,
    "agents.veto": False,
    "allocation.preset": "default",
    "allocation.delta": 0.15,
    "allocation.kappa": 0.5,
    "allocation.tau": 1.0,
    "allocation.tune": False,
    "executor.cores_per_worker": None,
    "executor.gpus_per_worker": None,
    "llm.context": 8192,
    "llm.port": 0,
    "llm.threads": 0,
    "sandbox.output_kb": 64,
    "sandbox.processes": 0,
    "sandbox.threads": 0,
    "search.elite": 2,
    "search.islands": 2,
    "search.migration": 4,
    "search.racing_error": 0.05,
}
"""Former key -> value of the constant, or the former default of what follows from other settings now."""
_SDSA = "a candidate can call autoprune.kit.sdsa with other constants in its own allocate"
_THREADS = "OMP_NUM_THREADS in the environment limits the threads"
INSTEAD = {
    "allocation.delta": _SDSA,
    "allocation.kappa": _SDSA,
    "allocation.preset": "the allocation sdsa-paper has its constants",
    "allocation.tau": _SDSA,
    "allocation.tune": "baselines.tune tunes the baselines, and a candidate's PARAMS its own allocate",
    "executor.cores_per_worker": _THREADS,
    "executor.gpus_per_worker": "executor.workers beyond the number of GPUs share them",
    "llm.context": "it follows from llm.profile: 8192 tokens, and 32768 with strong",
    "llm.threads": _THREADS,
    "sandbox.processes": "it is 2, or 1 with a single thread (OMP_NUM_THREADS=1)",
    "sandbox.threads": _THREADS,
}
"""What to do in place of a former setting, where it is not always the constant."""
OF_MACHINE = {key for key in CONSTANTS if key.startswith(("executor.", "llm.", "sandbox."))} - {"sandbox.output_kb"}
"""Former settings of the machine, on which a stored run does not depend."""
SAID = 100
"""Maximum characters of a value in an error."""


def migrated(tree: dict[str, Any], stored: bool = False) -> tuple[dict[str, Any], list[str]]:
    """A tree of settings under present keys, and one line for each value that cannot be migrated.

    `stored`: settings of a run, which may go on with other threads and workers.
    """
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
            problems += [] if stored and key in OF_MACHINE else _problems(key, value)
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
    """Log the present key of a moved one, or that it is no setting any more."""
    if key in MOVED:
        logger.warning("%s is %s now", key, MOVED[key])
    elif key in CONSTANTS:
        logger.warning("%s is no setting any more; %s", key, _instead(key))


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
    if value is None or value == CONSTANTS[key]:
        return []
    return [f"{key}={' '.join(str(value).split())[:SAID]} is no setting any more; {_instead(key)}"]


def _instead(key: str) -> str:
    return INSTEAD.get(key, f"it is always {CONSTANTS[key]}")
