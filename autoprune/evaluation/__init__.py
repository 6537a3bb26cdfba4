"""Trusted measurement: texts and splits, perplexity, the bench that measures masks."""
