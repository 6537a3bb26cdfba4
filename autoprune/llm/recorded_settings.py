"""The settings of a search that a recording stores: those that determine the questions of each slot and measurements.

They are the defaults of a replay, and recordings may come from someone else, so none of them contacts anything, names
a file, or raises a limit by much. Limits of time, tokens and money are not recorded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from autoprune.config import Config, flat_settings
from autoprune.config_migration import migrated_setting
from autoprune.config_values import NOT_DRAWN, WITHOUT_MODEL, Operator

KEPT = (
    *("sparsity", "seed", "data", "allocation", "agents", "search", "sandbox.seconds", "llm.profile"),
    *("baselines", "confirmation", "advanced"),
)
LEFT_OUT = (
    *("search.max_minutes", "search.max_tokens", "search.max_usd", "advanced.cache", "advanced.memory_gb"),
    *("confirmation.transfer_model", "confirmation.transfer_windows"),
)
OPERATORS = "agents.operators"
FORMER: tuple[Operator, ...] = tuple(name for name in get_args(Operator) if name not in (*WITHOUT_MODEL, *NOT_DRAWN))
"""All operators, in recordings that do not list them: each slot of a model has a reply there."""
TEXTS = ("builtin", "wikitext2", "c4")
"""Texts that a recording may name, which exclude files and arbitrary data sets."""
MOST_SECONDS = 1800.0
"""Wall clock for a candidate."""
MOST_COUNT = 1024
MOST_TOKENS = 32_768
"""Length of a window."""


def decisive(config: Config) -> dict[str, Any]:
    """The settings to record, by dotted keys, including defaults, which may change between versions."""
    settings = {**flat_settings(config), OPERATORS: config.agents.operators or list(get_args(Operator))}
    return {key: value for key, value in settings.items() if _is_kept(key, value)}


def defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded settings that a replay takes, without those that are unknown or not allowed.

    Raises UsageError for a value of a former setting that is no longer supported.
    """
    known = flat_settings(Config())
    migrated = dict(pair for key, value in settings.items() for pair in migrated_setting(key, value))
    if OPERATORS in migrated and migrated[OPERATORS] is None:
        migrated[OPERATORS] = list(FORMER)
    return {key: value for key, value in migrated.items() if key in known and _is_kept(key, value)}


def target_name(model: str) -> str:
    """The name of a target without local folders."""
    path = Path(model)
    return path.resolve().name if path.is_absolute() or path.exists() else model


def _is_kept(key: str, value: Any) -> bool:
    if key in ("data.source", "data.calibration"):
        return value in TEXTS
    if key == "sandbox.seconds":
        return isinstance(value, int | float) and value <= MOST_SECONDS
    limit = MOST_TOKENS if key == "data.seqlen" else MOST_COUNT
    if isinstance(value, int) and key != "seed" and value > limit:
        return False
    return key not in LEFT_OUT and any(key == kept or key.startswith(f"{kept}.") for kept in KEPT)
