"""The proposer's interface: slot plan, request, draft, and the Protocol that all proposers implement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, Protocol

from pydantic import Field
from typing_extensions import TypedDict

from autoprune.agents.deepening import Rounds
from autoprune.agents.population import Algorithm
from autoprune.gcot.chain import Step
from autoprune.llm.lenient import ReplyModel, any_case, cut, names

Expectation = Literal["better", "same", "worse"]


class Left(TypedDict):
    """The remaining budget of a run; `minutes` is None where they are not limited."""

    candidates: int
    minutes: float | None


class SlotPlan(TypedDict):
    """The task of one slot of a generation, as plain data: the search plans it, a proposer carries it out.

    `parents`: names of algorithms (slots or seeds). `sections`: those of the prompt that were drawn; without it all are
    shown. `left`: the remaining budget when the slot was planned, for a strong model. `rounds`: what `deepen`
    multiplies; `last`: whether the search has ended. `asked`: by whom `ablate` was asked for, and what it takes out.
    `model`: which of several models proposes.
    """

    slot: str
    generation: int
    operator: str
    engine: str
    parents: list[str]
    sections: NotRequired[list[str]]
    left: NotRequired[Left]
    rounds: NotRequired[Rounds]
    last: NotRequired[bool]
    asked: NotRequired[str]
    model: NotRequired[str]


class Thought(ReplyModel):
    """The reasoning behind a candidate. `expected`: the predicted effect on perplexity against the best parent."""

    idea: Annotated[str, cut(600)] = Field(max_length=600)
    why: Annotated[str, cut(1000)] = Field(max_length=1000)
    expected: Annotated[Expectation, any_case(Expectation)]
    builds_on: Annotated[list[str], names(8)] = Field(default_factory=list, max_length=8)


@dataclass(frozen=True)
class Request:
    """A proposer's input. `comments`: of the critic or a person on the `previous` source, whose idea is `idea`."""

    plan: SlotPlan
    seed: str
    revision: int
    parents: list[Algorithm]
    known: list[Algorithm]
    chain: list[Step]
    references: frozenset[str]
    comments: list[str]
    previous: str | None
    idea: str = ""


@dataclass(frozen=True)
class Draft:
    """A proposer's answer. `problem`: why there is no `source`."""

    thought: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    problem: str = ""


def same_formula(thought: Mapping[str, Any]) -> dict[str, Any]:
    """The formula of a thought, for one about the same algorithm with another allocation or number of rounds."""
    return {key: thought[key] for key in ("formula",) if key in thought}


class Proposer(Protocol):
    """Answers a request with a thought and a candidate's source."""

    def propose(self, request: Request) -> Draft: ...
