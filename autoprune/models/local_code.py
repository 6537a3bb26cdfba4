"""Prevents transformers from running compiled code from the hub.

With the package `kernels`, transformers downloads binaries and loads them into this process, for an attention that is
named in `config.json` and for some architectures by default. `autoprune/__init__.py` blocks the import of that package.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from autoprune.errors import UsageError


def refuse_foreign_code(name: str, config: Mapping[str, Any]) -> None:
    """Raises UsageError for a model whose configuration names code on the hub."""
    for key, value in _texts(config):
        if "implementation" in key and "/" in value:
            raise UsageError(
                f"the configuration of {name} asks for code from the hub ({key}: {value[:100]}), which is never run; "
                f"remove {key} from its config.json to use the code that is installed"
            )


def _texts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The dotted keys and values of all strings in a configuration."""
    for key, value in config.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", text) for inner, text in _texts(value))
