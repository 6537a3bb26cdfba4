"""AutoPrune: LLM agents that discover pruning algorithms for a language model and prove them by measurement."""

__version__ = "0.1.0"
