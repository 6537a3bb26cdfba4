"""How long to wait before a call is tried again: as long as the endpoint asks for, else longer each time."""

import tenacity

from autoprune.llm.faults import Fault

LONGEST_WAIT = 60.0
_exponential = tenacity.wait_exponential_jitter(initial=1, max=LONGEST_WAIT)


class Passing(Exception):
    """A call failed in a way that may pass."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.line)
        self.fault = fault


def asked_for(state: tenacity.RetryCallState) -> float | None:
    """Seconds that the endpoint itself asked us to wait."""
    error = state.outcome.exception() if state.outcome else None
    return error.fault.wait if isinstance(error, Passing) else None


def wait(state: tenacity.RetryCallState) -> float:
    asked = asked_for(state)
    return _exponential(state) if asked is None else asked
