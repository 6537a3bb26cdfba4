"""Only code that is installed here runs: transformers is kept from fetching compiled code, which a model may ask for.

By the package `kernels`, where a user has it, transformers downloads binaries from the hub and loads them into this
process: for an attention that `config.json` names, and for some architectures unasked. `autoprune/__init__.py` keeps it
from being imported.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from autoprune.errors import UsageError


def refuse_foreign_code(name: str, config: Mapping[str, Any]) -> None:
    """Raises UsageError for a model whose configuration names code on the hub."""
    for key, value in _named(config):
        if "implementation" in key and "/" in value:
            raise UsageError(
                f"the configuration of {name} asks for code from the hub ({key}: {value[:100]}), which is never run; "
                f"remove {key} from its config.json to use the code that is installed"
            )


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts in a configuration and in the configurations of its parts, with their keys."""
    for key, value in config.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", text) for inner, text in _named(value))
