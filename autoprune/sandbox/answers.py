"""Strict types of a worker's answers, with which every message is validated.

A candidate can send any bytes in its worker's name. Anything but an answer of the expected type is a ProtocolError,
which the session turns into the candidate's failure.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from autoprune.candidates.contract import GROUPS, UNITS
from autoprune.sandbox.protocol import ProtocolError
from autoprune.text_files import clean

MOST_DENSITIES = 1 << 20


def _one_of(words: Collection[str]) -> AfterValidator:
    def known(word: str) -> str:
        if word not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return word

    return AfterValidator(known)


Seconds = Annotated[float, Field(ge=0.0, le=1e9)]


class Answer(BaseModel):
    """`id`: that of the question."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    id: int


class Loaded(Answer):
    """Answer to `open`: the declarations of the source."""

    group: Annotated[str, _one_of(GROUPS)]
    unit: Annotated[str, _one_of(UNITS)] | None
    allocate: bool


class Timed(Answer):
    """An answer with the seconds that the worker reports (timings.py)."""

    own: Seconds
    own_processor: Seconds
    processor: Seconds

    @property
    def by_part(self) -> dict[str, float]:
        """`own` by the functions of the candidate."""
        raise NotImplementedError


class Scored(Timed):
    """Answer to `score`: the scores are in the buffer."""

    shape: Annotated[list[int], Field(max_length=8)]

    @property
    def by_part(self) -> dict[str, float]:
        return {"score": self.own}


class Edited(Timed):
    """Answer to `edit`: the refined mask and the updated weight are in the buffer. `updating`: the seconds of `own` in
    `update`."""

    updating: Seconds = 0.0

    @property
    def by_part(self) -> dict[str, float]:
        return {"refine": max(self.own - self.updating, 0.0), "update": self.updating}


class Allocated(Answer):
    """Answer to `allocate`: raw densities, finite."""

    densities: Annotated[list[float], Field(max_length=MOST_DENSITIES)]


class Failure(BaseModel):
    """A failure in the worker: known stage and reason, and an untrusted message."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    stage: Literal["load", "allocate", "score", "refine", "update", "check"]
    reason: Literal["exception", "memory", "forbidden", "contract", "shape", "dtype", "not-finite", "protocol"]
    message: str


class Failed(Answer):
    """Answer to any question that failed."""

    failure: Failure


A = TypeVar("A", bound=Answer)


def read(message: dict[str, Any], kind: type[A]) -> A | Failed:
    """Validate a message. Raises ProtocolError for anything but a `kind` or a failure."""
    try:
        return (Failed if "failure" in message else kind).model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = clean(".".join(map(str, first["loc"]))[:60])
        raise ProtocolError(f"the worker's answer is none to this question: {where}: {first['msg']}") from None
