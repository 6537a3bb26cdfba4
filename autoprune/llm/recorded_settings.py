"""The settings of a search that a recording stores: those that determine the questions of each slot and measurements.

They are the defaults of a replay, and recordings may come from someone else, so none of them contacts anything, names
a file, or raises a limit by much. Limits of time, tokens and money are not recorded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoprune.config import Config, flat_settings
from autoprune.config_migration import migrated_setting

KEPT = (
    *("sparsity", "seed", "data", "allocation", "agents", "search", "sandbox.seconds", "llm.profile"),
    *("baselines", "confirmation", "advanced"),
)
LEFT_OUT = (
    *("search.max_minutes", "search.max_tokens", "search.max_usd", "advanced.cache", "advanced.memory_gb"),
    *("confirmation.transfer_model", "confirmation.transfer_windows"),
)
TEXTS = ("builtin", "wikitext2", "c4")
"""Texts that a recording may name, which exclude files and arbitrary data sets."""
MOST_SECONDS = 1800.0
"""Wall clock for a candidate."""
MOST_COUNT = 1024
MOST_TOKENS = 32_768
"""Length of a window."""


def decisive(config: Config) -> dict[str, Any]:
    """The settings to record, by dotted keys, including defaults, which may change between versions."""
    return {key: value for key, value in flat_settings(config).items() if _is_kept(key, value)}


def defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded settings that a replay takes, without those that are unknown or not allowed.

    Raises UsageError for a value of a former setting that is no longer supported.
    """
    known = flat_settings(Config())
    migrated = (pair for key, value in settings.items() for pair in migrated_setting(key, value))
    return {key: value for key, value in migrated if key in known and _is_kept(key, value)}


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
