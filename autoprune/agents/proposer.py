"""The proposer's vocabulary: what it is asked, what it answers, and the Protocol that both kinds fulfil."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from autoprune.agents.population import Algorithm
from autoprune.agents.slot_plan import SlotPlan
from autoprune.gcot.chain import Step
from autoprune.llm.lenient import ReplyModel, any_case, cut, names

Expectation = Literal["better", "same", "worse"]


class Thought(ReplyModel):
    """The reasoning behind a candidate. `expected` is the predicted effect on perplexity against the best parent."""

    idea: Annotated[str, cut(600)] = Field(max_length=600)
    why: Annotated[str, cut(1000)] = Field(max_length=1000)
    expected: Annotated[Expectation, any_case(Expectation)]
    builds_on: Annotated[list[str], names(8)] = Field(default_factory=list, max_length=8)


@dataclass(frozen=True)
class Request:
    """Everything a proposer may go by. `comments` come from the critic or from a human, on the last revision, and
    `idea` is that of the source that they are about."""

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
    """A proposer's answer. Without `source`, `problem` says why there is none."""

    thought: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    problem: str = ""


class Proposer(Protocol):
    """Answers a request with a thought and a candidate's source."""

    def propose(self, request: Request) -> Draft: ...
