"""The best candidates that searches of this project found, as `autoprune export-algorithm` writes them.

NAME.py holds the algorithm; NAME.md holds the lineage, the settings of the search and the confirmation
(exchange_by_variance.md also that of a fork, on a second model). They are data to this program: never imported, and run
in the sandbox like any candidate (`--algorithm NAME`). The fingerprint of the code that measures does not cover them
(`evaluation/code_fingerprint.py`).
"""

from importlib.resources import files

SUFFIX = ".py"


def discovered() -> list[str]:
    """Their names."""
    found = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX) and not name.startswith("_"))


def discovered_source(name: str) -> str:
    """The source of one of them."""
    return files(__name__).joinpath(f"{name}{SUFFIX}").read_text(encoding="utf-8")
