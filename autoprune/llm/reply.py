"""Replies of chat models, their usage, and the journal that stores them for a resumed run."""

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from autoprune.llm.tools import ToolCall
from autoprune.llm.usage import Tokens, Usd


class Turn(BaseModel):
    """One cleaned answer of the model. A question has one for each round of tool calls, then one answer, or two if the
    first needed a repair.

    Attributes:
        tokens_in, tokens_out: counted by the endpoint, or `estimated`.
        usd: price in US dollars; None = unknown.
        seconds: wall clock of the successful call.
        truncated: cut off by the token limit, or by MAX_REPLY_CHARS.
        problem: why it is unusable; empty if it is usable.
        thinking: the model's reasoning in separate tags, channels or fields.
        calls: tool calls in place of an answer, with their results.
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
    """Totals. `calls`: answers; `failed_calls`: calls without a usable answer; `usd`: None = unknown."""

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
        """The usage of these answers, and of calls without an answer."""
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
    """One question in the journal, with its answers.

    `spent`: usage of earlier questions under the same key, with another prompt, as after a fork.
    """

    request: str
    role: str
    turns: list[Turn] = []
    failed_calls: int = 0
    spent: Usage = Usage()

    @property
    def usage(self) -> Usage:
        return self.spent + Usage.of(self.turns, self.failed_calls)


class Reply(Usage):
    """A usable answer, with the usage of all turns and retries of its question.

    `parsed`: the validated model if there was a schema. `replayed`: from the journal, at no cost now.
    """

    text: str
    parsed: Any = None
    model: str
    truncated: bool = False
    replayed: bool = False


class ReplyUnusable(Exception):
    """The model's answer was invalid even after one repair.

    `raw`: the last reply; `error`: one line about its problem; `usage`: its usage, which is already counted.
    """

    def __init__(self, raw: str, error: str, usage: Usage | None = None) -> None:
        super().__init__(error)
        self.raw = raw
        self.error = error
        self.usage = usage or Usage()


class Journal(Protocol):
    """Stores answers by key, so that a resumed run replays them. Values are plain JSON data."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, value: dict[str, Any]) -> None: ...


def recorded_usage(records: Iterable[dict[str, Any]]) -> dict[str, Usage]:
    """Totals per role of all records of a journal."""
    totals: dict[str, Usage] = {}
    for value in records:
        record = Record.model_validate(value)
        totals[record.role] = totals.get(record.role, Usage()) + record.usage
    return totals
