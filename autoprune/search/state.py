"""The state between steps of the state machine: plain data and names. Everything else is in the run's files."""

import operator
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from autoprune.agents.proposer import SlotPlan
from autoprune.errors import UsageError


class SearchState(TypedDict, total=False):
    """The whole search. `stop`: why it ends; `deepened`, `polished`: whether these last generations have been planned
    (`finishing.py`)."""

    generation: int
    plans: list[SlotPlan]
    stop: str
    deepened: bool
    polished: bool
    ended: Annotated[int, operator.add]


class CandidateState(TypedDict, total=False):
    """One candidate on its way from thought to measurement. `tunings`: how many of its revisions are its own sources
    with tuned parameters."""

    plan: SlotPlan
    revision: int
    tunings: int
    candidate: str
    verdict: str
    comments: list[str]
    decision: str
    outcome: str


def revisions_spent(state: CandidateState) -> int:
    """The revisions that a critic, a person or the sandbox asked for."""
    return state["revision"] - state.get("tunings", 0)


class CandidateEnd(TypedDict):
    """The output of a candidate's subgraph: one more slot has ended."""

    ended: int


_SEARCH = TypeAdapter(SearchState)


def checked(values: dict[str, Any], place: object) -> SearchState:
    """The state in a run's checkpoints. Raises UsageError for one that this program did not write."""
    try:
        return _SEARCH.validate_python(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(f"the checkpoints of {place} hold no state of a search ({where}: {problem['msg']})") from None
