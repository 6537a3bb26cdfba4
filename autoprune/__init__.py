"""AutoPrune: LLM agents that discover pruning algorithms for a language model and prove them by measurement."""

import logging
import os
import sys

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

SPIN = "10000"
"""How often a thread of torch looks whether there is work before it sleeps: some microseconds' worth, as between two
operations. By default it looks for milliseconds, and two processes on the same cores take each other's time by that
(`benchmarks/spinning.py`). Read when torch is imported."""
os.environ.setdefault("GOMP_SPINCOUNT", SPIN)

# transformers would download binaries from the hub by this package, and load them (`models/local_code.py`). It is kept
# out of reach before transformers is imported, unless the program around this one has imported it itself.
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
