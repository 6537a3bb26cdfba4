"""AutoPrune: LLM agents that discover pruning algorithms for a language model and validate them by measurement.

The Python API: `prune`, `compare`, `search`, `open_run`, `load_algorithm` and `layer_view`, imported when first used.
"""

import inspect
import logging
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autoprune import search as _search_room

if TYPE_CHECKING:
    from autoprune.api.algorithms import load_algorithm as load_algorithm
    from autoprune.api.comparison import compare as compare
    from autoprune.api.layers import layer_view as layer_view
    from autoprune.api.pruning import PrunedModel as PrunedModel
    from autoprune.api.pruning import PruningReport as PruningReport
    from autoprune.api.pruning import prune as prune
    from autoprune.api.run import Run as Run
    from autoprune.api.run import open_run as open_run
    from autoprune.api.searching import search as search
    from autoprune.errors import AutoPruneError as AutoPruneError
    from autoprune.errors import RunPaused as RunPaused
    from autoprune.errors import UsageError as UsageError

__version__ = "0.1.0"
__all__ = [
    "AutoPruneError",
    "PrunedModel",
    "PruningReport",
    "Run",
    "RunPaused",
    "UsageError",
    "__version__",
    "compare",
    "layer_view",
    "load_algorithm",
    "open_run",
    "prune",
    "search",
]
_HOMES = {
    "AutoPruneError": "errors",
    "PrunedModel": "api.pruning",
    "PruningReport": "api.pruning",
    "Run": "api.run",
    "RunPaused": "errors",
    "UsageError": "errors",
    "compare": "api.comparison",
    "layer_view": "api.layers",
    "load_algorithm": "api.algorithms",
    "open_run": "api.run",
    "prune": "api.pruning",
}
"""Name -> module, imported when the name is first used: torch and transformers take seconds."""

logging.getLogger(__name__).addHandler(logging.NullHandler())

SPIN = "10000"
"""Iterations for which torch's threads wait actively for work: some microseconds, as between two operations. The
default of milliseconds slows down other processes on the same cores (`benchmarks/spinning.py`). Read when torch is
imported."""
os.environ.setdefault("GOMP_SPINCOUNT", SPIN)

# With this package, transformers would download and load binaries from the hub (`models/checkpoint.py`). Its import is
# blocked before transformers is imported, unless the calling program has imported it.
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]


class _Search(ModuleType):
    """The subpackage `autoprune.search`, which can be called: as `autoprune.api.searching.search`."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return _function("api.searching", "search")(*args, **keywords)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_function("api.searching", "search"))


# The import system binds the subpackage to this name, so a function of the same name would not stay.
_search_room.__class__ = _Search


def _function(module: str, name: str) -> Any:
    return getattr(import_module(f"{__name__}.{module}"), name)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = _function(_HOMES[name], name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
