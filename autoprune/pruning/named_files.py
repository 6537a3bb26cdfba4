"""Names of refinements and updates from the files that define them, without importing these."""

import pkgutil
from pathlib import Path

ABOUT = ("spec", "table")
"""Modules of such a package that define none."""


def names_beside(table: str) -> tuple[str, ...]:
    """The names that the modules beside the file `table` stand for, in alphabetical order: `admm_own` is admm-own."""
    modules = pkgutil.iter_modules([str(Path(table).parent)])
    return tuple(sorted(module.name.replace("_", "-") for module in modules if module.name not in ABOUT))
