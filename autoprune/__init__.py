"""AutoPrune: LLM agents that discover pruning algorithms for a language model and prove them by measurement."""

import sys

__version__ = "0.1.0"

# transformers would download binaries from the hub by this package, and load them (`pruning/local_code.py`). It is kept
# out of reach before transformers is imported, unless the program around this one has imported it itself.
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
