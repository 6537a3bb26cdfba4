"""Recordings of real searches that come with the package, as files `NAME.jsonl`."""

from pathlib import Path

HOME = Path(__file__).parent
FIRST = "smollm2-135m-60"
"""What is played unless another is named: eight candidates, so that it takes minutes."""


def shipped(name: str = FIRST) -> Path | None:
    """The recording of that name; None where there is none."""
    return next((path for path in HOME.glob("*.jsonl") if path.stem == name), None)
