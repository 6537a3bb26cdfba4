"""Which settings of a search a recording keeps: those that decide what is asked in which slot, and how it is measured.

A replay takes them as its defaults, so none of them may contact anything, name a file, or lift a limit by much, whoever
wrote the recording. Limits of time, tokens and money are left to whoever replays: the recording's end is limit enough.
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
"""Texts that a recording may name: no file of the user's, no data set of anybody's."""
MOST_SECONDS = 1800.0
"""Of wall clock for a candidate."""
MOST_COUNT = 1024
MOST_TOKENS = 32_768
"""Of a window."""


def decisive(config: Config) -> dict[str, Any]:
    """The settings to record, by dotted keys. Defaults too: another version may have others."""
    return {key: value for key, value in flat_settings(config).items() if _is_kept(key, value)}


def defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a recording that a replay takes. What this version does not know, or may not take, is left out.

    Raises UsageError for a setting that is another constant by now.
    """
    known = flat_settings(Config())
    present = (each for key, value in settings.items() for each in migrated_setting(key, value))
    return {key: value for key, value in present if key in known and _is_kept(key, value)}


def target_name(model: str) -> str:
    """The name of a target without the folders of this machine."""
    path = Path(model)
    return path.resolve().name if path.is_absolute() or path.exists() else model


def _is_kept(key: str, value: Any) -> bool:
    if key in ("data.source", "data.calibration"):
        return value in TEXTS
    if key == "sandbox.seconds":
        return isinstance(value, int | float) and value <= MOST_SECONDS
    most = MOST_TOKENS if key == "data.seqlen" else MOST_COUNT
    if isinstance(value, int) and key != "seed" and value > most:
        return False
    return key not in LEFT_OUT and any(key == kept or key.startswith(f"{kept}.") for kept in KEPT)
