"""The budget of a search as options of `autoprune prune` and `compare`."""

import re

from autoprune.config import Config

_UPDATES = re.compile(r"^def update\b", re.MULTILINE)


def budget(config: Config, source: str) -> str:
    """Of `prune` for a candidate's source: `--sparsity 0.6`, or `--structure width --params 0.2 --compensate bias`.

    A structured candidate with an `update` compensates itself.
    """
    settings = config.search
    if settings.structure is None:
        return f"--sparsity {config.sparsity:g}"
    own = settings.compensate == "none" or _UPDATES.search(source)
    compensate = "" if own else f" --compensate {settings.compensate}"
    return f"--structure {settings.structure} --params {config.sparsity:g}{compensate}"


def compared(config: Config, source: str) -> str:
    """Of `compare`, for a candidate of a structured search beside published methods."""
    settings = config.search
    ways = {"none": " --compensate none", "bias": " --compensate none,bias"}
    compensate = "" if _UPDATES.search(source) else ways.get(settings.compensate, "")
    return f"--structure {settings.structure} --params {config.sparsity:g}{compensate}"
