"""What a worker may answer, as strict types: all that trusted code reads of a message has passed here.

A candidate can send any bytes in its worker's name. What is not exactly an answer of the kind that was asked for is a
ProtocolError, which the session turns into the candidate's failure.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from autoprune.candidates.contract import GROUPS, UNITS
from autoprune.plain_text import clean
from autoprune.sandbox.protocol import ProtocolError

MOST_DENSITIES = 1 << 20


def _one_of(words: Collection[str]) -> AfterValidator:
    def known(word: str) -> str:
        if word not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return word

    return AfterValidator(known)


Seconds = Annotated[float, Field(ge=0.0, le=1e9)]


class Answer(BaseModel):
    """`id`: the question's."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    id: int


class Loaded(Answer):
    """To `open`: what the source says of itself."""

    group: Annotated[str, _one_of(GROUPS)]
    unit: Annotated[str, _one_of(UNITS)] | None
    allocate: bool


class Scored(Answer):
    """To `score`: the scores are in the slot. The seconds are what the worker says of its own time (claims.py)."""

    shape: Annotated[list[int], Field(max_length=8)]
    own: Seconds
    own_processor: Seconds
    processor: Seconds


class Allocated(Answer):
    """To `allocate`: raw densities, finite."""

    densities: Annotated[list[float], Field(max_length=MOST_DENSITIES)]


class Failure(BaseModel):
    """What went wrong in the worker, in known words and one message that is not believed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    stage: Literal["load", "allocate", "score", "check"]
    reason: Literal["exception", "memory", "forbidden", "contract", "shape", "dtype", "not-finite", "protocol"]
    message: str


class Failed(Answer):
    """To any question."""

    failure: Failure


A = TypeVar("A", bound=Answer)


def read(message: dict[str, Any], kind: type[A]) -> A | Failed:
    """The answer in a message. Raises ProtocolError for anything but a `kind` or a failure."""
    try:
        return (Failed if "failure" in message else kind).model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = clean(".".join(map(str, first["loc"]))[:60])
        raise ProtocolError(f"the worker's answer is none to this question: {where}: {first['msg']}") from None
