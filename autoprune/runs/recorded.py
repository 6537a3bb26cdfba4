"""The note on runs that replay a recording."""

from collections.abc import Mapping
from typing import Any

MOST_MODELS = 3


def recording_line(facts: Mapping[str, Any]) -> str:
    """One line from the record's `replay`: the recorded models and date."""
    models = [str(model)[:100] for model in facts["models"]]
    more = f" and {len(models) - MOST_MODELS} more" if len(models) > MOST_MODELS else ""
    return (
        f"the agents' replies were recorded on {str(facts['date'])[:10]} from {', '.join(models[:MOST_MODELS])}{more}: "
        "no model is asked and nothing is paid (tokens are the recording's); every measurement is made anew, on this "
        "machine"
    )
