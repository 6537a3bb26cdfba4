"""AutoPrune: LLM agents that discover pruning algorithms for a language model and validate them by measurement."""

import logging
import os
import sys

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

SPIN = "10000"
"""Iterations for which torch's threads wait actively for work: some microseconds, as between two operations. The
default of milliseconds slows down other processes on the same cores (`benchmarks/spinning.py`). Read when torch is
imported."""
os.environ.setdefault("GOMP_SPINCOUNT", SPIN)

# With this package, transformers would download and load binaries from the hub (`models/checkpoint.py`). Its import is
# blocked before transformers is imported, unless the calling program has imported it.
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
