"""What a question to a chat model comes back with, what it cost, and where that is kept for a resumed run."""

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from autoprune.llm.tools import ToolCall
from autoprune.llm.usage import Tokens, Usd


class Turn(BaseModel):
    """One answer of the model as it arrived (cleaned). A question has one, or two when the first needed repair, and
    before them those in which the model called tools.

    Attributes:
        tokens_in, tokens_out: counted by the endpoint, or estimated (`estimated`) when it did not say.
        usd: price in US dollars; None = unknown.
        seconds: wall clock of the call that succeeded.
        truncated: the reply was cut off by the token limit, or by our own cap.
        problem: why it could not be used; empty = it could.
        thinking: what the model wrote beside its answer, in tags, channels or fields of their own.
        calls: tools that the model asked for in place of an answer, with what they said.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    model: str
    tokens_in: Tokens
    tokens_out: Tokens
    usd: Usd
    seconds: float
    truncated: bool = False
    estimated: bool = False
    problem: str = ""
    thinking: str = ""
    calls: list[ToolCall] = []


class Usage(BaseModel):
    """Totals. `calls` are answers paid for, `failed_calls` those that brought nothing usable; usd None = unknown."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    failed_calls: int = 0
    tokens_in: Tokens = 0
    tokens_out: Tokens = 0
    usd: Usd = 0.0
    seconds: float = 0.0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            failed_calls=self.failed_calls + other.failed_calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
            seconds=self.seconds + other.seconds,
            estimated=self.estimated or other.estimated,
        )

    @classmethod
    def of(cls, turns: Iterable[Turn], failed_calls: int = 0) -> "Usage":
        """What these answers cost together, plus calls that brought no answer at all."""
        total = cls(failed_calls=failed_calls)
        for turn in turns:
            total += cls(
                calls=1,
                failed_calls=bool(turn.problem),
                tokens_in=turn.tokens_in,
                tokens_out=turn.tokens_out,
                usd=turn.usd,
                seconds=turn.seconds,
                estimated=turn.estimated,
            )
        return total


class Record(BaseModel):
    """One question in the journal: enough to answer it again without asking, and to know what it cost.

    `spent` is what earlier versions of this question (another prompt under the same key, as after a fork) had cost.
    """

    request: str
    role: str
    turns: list[Turn] = []
    failed_calls: int = 0
    spent: Usage = Usage()

    @property
    def usage(self) -> Usage:
        return self.spent + Usage.of(self.turns, self.failed_calls)


class Reply(BaseModel):
    """A usable answer. `parsed` is the validated model if a schema was asked for.

    The numbers cover every turn and retry of this question; `replayed`: taken from the journal, nothing was paid now.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    parsed: Any = None
    model: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float
    calls: int
    failed_calls: int
    truncated: bool = False
    replayed: bool = False


class ReplyUnusable(Exception):
    """The model answered, but not with what was asked for, even after one repair. Agents treat it as a failed call.

    `raw` is the last reply, `error` one line on what is wrong with it, `usage` what it cost (already metered).
    """

    def __init__(self, raw: str, error: str, usage: Usage | None = None) -> None:
        super().__init__(error)
        self.raw = raw
        self.error = error
        self.usage = usage or Usage()


class Journal(Protocol):
    """Where answers are kept by key, so that a resumed run replays them. Values are plain JSON data."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Store or replace. Must be durable when it returns: what was paid for is not asked again."""
        ...


def recorded_usage(records: Iterable[dict[str, Any]]) -> dict[str, Usage]:
    """Totals per role of everything in a journal: what a resumed run has already spent."""
    totals: dict[str, Usage] = {}
    for value in records:
        record = Record.model_validate(value)
        totals[record.role] = totals.get(record.role, Usage()) + record.usage
    return totals
