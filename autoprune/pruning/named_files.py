"""Refinements and updates by the names of the files that define them; the names are read without importing these."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from autoprune.errors import UsageError

Spec = TypeVar("Spec")

ABOUT = ("spec", "table")
"""Modules of such a package that define none."""


def names_beside(table: str) -> tuple[str, ...]:
    """The names that the modules beside the file `table` stand for, in alphabetical order: `admm_own` is admm-own."""
    modules = pkgutil.iter_modules([str(Path(table).parent)])
    return tuple(sorted(module.name.replace("_", "-") for module in modules if module.name not in ABOUT))


def load_spec(kind: type[Spec], package: str, what: str, name: str, names: Sequence[str]) -> Spec:
    """The `SPEC` of the module of a package that defines `name`. Raises UsageError unless it is one of `names`.

    `what`: the word for a specification in the error, "refinement" or "update".
    """
    if name not in names:
        raise UsageError(f"unknown {what} {name!r}; there are none, {', '.join(names)}")
    spec = import_module(f"{package}.{name.replace('-', '_')}").SPEC
    assert isinstance(spec, kind)
    return spec
