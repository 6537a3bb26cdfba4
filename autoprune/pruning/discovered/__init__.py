"""The project's own best discoveries: candidates of searches, each a file as `autoprune export-algorithm` wrote it.

Their docstrings hold the run's configuration, the lineage and the confirmation table (exchange_by_variance's also that
of a fork, on a second model). They are data to this program: never imported, and run in the sandbox like any candidate
(`--algorithm NAME`).
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
