"""Trusted measurement: texts and splits, perplexity, and the evaluator."""
