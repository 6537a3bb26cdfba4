"""Recordings of real searches that come with the package, as files `*.jsonl`: `search --llm replay` plays the first."""

from pathlib import Path

HOME = Path(__file__).parent


def shipped() -> Path | None:
    """The recording that is played unless another is named; None where there is none."""
    return next(iter(sorted(HOME.glob("*.jsonl"))), None)
