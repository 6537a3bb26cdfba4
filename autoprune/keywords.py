"""The names of command-line options and of keywords of the Python API, and the settings that they set."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autoprune.errors import UsageError

EXPERIMENT = {
    "model": "model",
    "data": "data.source",
    "calibration": "data.calibration",
    "calibration_samples": "data.calibration_samples",
    "seqlen": "data.seqlen",
    "windows": "data.report_windows",
    "bos": "data.bos",
    "unit": "allocation.unit",
    "device": "device",
    "dtype": "dtype",
    "offload": "offload",
    "sandbox": "sandbox.engine",
    "sandbox_seconds": "sandbox.seconds",
    "sandbox_memory": "sandbox.memory_mb",
}
"""Name -> setting, for pruning without a search (`compare`, `prune`)."""
SEARCH = {
    "model": "model",
    "params": "sparsity",
    "sparsity": "sparsity",
    "structure": "search.structure",
    "compensate": "search.compensate",
    "llm": "llm.provider",
    "sandbox": "sandbox.engine",
    "executor": "executor.kind",
    "workers": "executor.workers",
    "address": "executor.address",
    "approval": "approval",
    "approval_policy": "approval_policy",
    "max_candidates": "search.max_candidates",
    "max_minutes": "search.max_minutes",
    "max_tokens": "search.max_tokens",
    "max_usd": "search.max_usd",
    "transfer_model": "confirmation.transfer_model",
    "seed": "seed",
    "database": "database",
}
"""Name -> setting, for `search`, `resume` and `doctor`."""


def assignments(values: Mapping[str, Any]) -> list[str]:
    """`key=value` words for `load_config`; strings are quoted, so that none is parsed as a number."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def choice(word: str, choices: Sequence[str], name: str = "") -> Any:
    """The word if it is one of the choices. Raises UsageError otherwise, with the option's or keyword's name."""
    if word not in choices:
        known = ", ".join(choices)
        raise UsageError(f"{name}{' ' * bool(name)}{word!r} is not one of {known}{did_you_mean(word, choices)}")
    return word


MEANT = "; did you mean "


def did_you_mean(word: str, known: Iterable[str], within: str = "") -> str:
    """`; did you mean X?` with the most similar known word, or an empty string if none is similar.

    `within`: a prefix that all have, which does not count.
    """
    names = [name.removeprefix(within) for name in known]
    similar = difflib.get_close_matches(word.removeprefix(within), names, n=1, cutoff=0.7)
    return f"{MEANT}{within}{similar[0]}?" if similar else ""


def labels(names: Mapping[str, str], given: Iterable[str], option: bool) -> dict[str, str]:
    """Setting -> how the user gave it: `--sandbox-seconds` for an option, `sandbox_seconds` for a keyword."""
    return {names[name]: f"--{name.replace('_', '-')}" if option else name for name in given if name in names}
