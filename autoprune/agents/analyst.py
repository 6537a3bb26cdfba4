"""The analyst turns a generation's measurements into a lesson. Predictions are checked by the measurements alone."""

import math
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

from pydantic import Field

from autoprune.agents.briefing import Briefing
from autoprune.agents.prompts.load import render
from autoprune.agents.proposer import Expectation
from autoprune.candidates.contract import EXPENSIVE_FIELDS, LAYER_FIELDS
from autoprune.gcot.belief import Contrast, pooled, read_range
from autoprune.llm.client import Chat
from autoprune.llm.lenient import ReplyModel, cut
from autoprune.llm.reply import ReplyUnusable
from autoprune.runs.names import generation_id

_INPUTS = [field.name for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS) if field.name not in ("name", "weight")]


@dataclass(frozen=True)
class Result:
    """One candidate of the generation. `gain`: log(best parent's perplexity / its own); `error`: its standard error.

    A candidate that was stopped early has no perplexity, an estimated gain, and its measurements in `problem`.
    """

    slot: str
    idea: str
    source: str
    expected: Expectation | None
    status: str
    perplexity: float | None
    gain: float | None
    problem: str = ""
    against: str = "its parent"
    error: float | None = None
    predicted: str = ""

    def line(self) -> str:
        if self.gain is None:
            return f"{self.slot}: {self.idea}: {self.status}, {self.problem}"
        forecast = self.predicted or self.expected
        against = f"against {self.against}" + (f", predicted {forecast}" if forecast else "")
        measured = self.problem if self.perplexity is None else f"perplexity {self.perplexity:.2f}"
        return f"{self.slot}: {self.idea}: {measured} ({self.change()} {against})"

    @property
    def percent(self) -> float:
        """Relative change of the perplexity against the best parent."""
        return 100 * math.expm1(-(self.gain or 0.0))

    def change(self) -> str:
        """The same as text."""
        if self.perplexity is None:
            return f"about {self.percent:+.0f} %"
        error = f" ± {(100 + self.percent) * self.error:.1f}" if self.error is not None else ""
        return f"{self.percent:+.1f}{error} %"


@dataclass(frozen=True)
class Claim:
    """One sentence of a lesson. `grounds`: the slots whose measurements it cites; empty for a conjecture."""

    text: str
    grounds: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """What a generation has shown. `best`: the slot with the largest gain."""

    claims: tuple[Claim, ...]
    best: str
    by: str = "statistics"

    @property
    def text(self) -> str:
        return " ".join(claim.text for claim in self.claims)


class Analyst(Protocol):
    def reflect(self, generation: int, results: list[Result]) -> Lesson | None: ...

    def explain(self, slot: str, thought: dict[str, Any], source: str) -> tuple[str, str] | None:
        """What an algorithm does, in plain words, and the model that wrote it; None without such a model."""


class StatisticalAnalyst:
    """Contrasts the best and the worst measured sibling by the inputs that their code uses.

    A candidate that was stopped early can be the worst, but is only the best if none was measured in full.
    """

    def reflect(self, generation: int, results: list[Result]) -> Lesson | None:
        measured = sorted(
            (result for result in results if result.gain is not None),
            key=lambda result: (result.perplexity is None, -(result.gain or 0)),
        )
        if not measured:
            return None
        best, worst = measured[0], measured[-1]
        text = f"{best.idea} did best ({_change(best)} against its parent)"
        grounds: tuple[str, ...] = (best.slot,)
        if worst is not best:
            grounds = (best.slot, worst.slot)
            text += f"; {worst.idea} did worst ({_change(worst)})"
            more, less = _inputs(best.source) - _inputs(worst.source), _inputs(worst.source) - _inputs(best.source)
            if more or less:
                parts = [f"only the best uses {', '.join(sorted(more))}"] if more else []
                parts += [f"only the worst uses {', '.join(sorted(less))}"] if less else []
                text += f"; {', '.join(parts)}"
        return Lesson((Claim(f"{text}.{_predictions(measured)}", grounds),), best.slot)

    def explain(self, slot: str, thought: dict[str, Any], source: str) -> tuple[str, str] | None:
        return None


class Reflection(ReplyModel):
    """Reply of the analyst's model."""

    lesson: Annotated[str, cut(600)] = Field(max_length=600)


class LongReflection(ReplyModel):
    """Reply of a strong model."""

    lesson: Annotated[str, cut(1500)] = Field(max_length=1500)


class Explanation(ReplyModel):
    """Description of the best candidate by the analyst's model."""

    sentence: Annotated[str, cut(600)] = Field(max_length=600)


class LLMAnalyst:
    """A chat model writes the lesson; StatisticalAnalyst is the fallback for an unusable reply.

    `briefing`: for a strong model, whose prompt holds all earlier measurements and lessons.
    """

    def __init__(self, chat: Chat, briefing: Briefing | None = None) -> None:
        self._chat = chat
        self._briefing = briefing
        self._statistics = StatisticalAnalyst()

    def reflect(self, generation: int, results: list[Result]) -> Lesson | None:
        statistical = self._statistics.reflect(generation, results)
        if statistical is None:
            return None
        prompt = self._prompt(generation, "\n".join(f"- {result.line()}" for result in results))
        try:
            messages = [{"role": "user", "content": prompt}]
            schema = Reflection if self._briefing is None else LongReflection
            reply = self._chat.ask(f"{generation_id(generation)}.reflect", "analyst", messages, schema)
        except ReplyUnusable as unusable:
            (claim,) = statistical.claims
            text = f"{claim.text} (The analyst's reply could not be used: {unusable.error})"
            return replace(statistical, claims=(replace(claim, text=text),))
        reflection: Reflection | LongReflection = reply.parsed
        return Lesson(_claims(reflection.lesson, results), statistical.best, by=reply.model)

    def explain(self, slot: str, thought: dict[str, Any], source: str) -> tuple[str, str] | None:
        """See Analyst. Also None for a small model and for an unusable reply."""
        if self._briefing is None:
            return None
        prompt = render("explain", idea=thought.get("idea", ""), why=thought.get("why", ""), source=source.strip())
        try:
            reply = self._chat.ask(f"{slot}.explain", "analyst", [{"role": "user", "content": prompt}], Explanation)
        except ReplyUnusable:
            return None
        explanation: Explanation = reply.parsed
        return explanation.sentence, reply.model

    def _prompt(self, generation: int, results: str) -> str:
        if self._briefing is None:
            return render("small/analyst", results=results)
        table, dense = self._briefing.table(generation + 1), f"{self._briefing.dense:.2f}"
        lessons = self._briefing.lessons_before(generation)
        results = self._briefing.overview(generation + 1).with_slots(results)
        designs = self._briefing.designs(generation + 1)
        return render("strong/analyst", results=results, table=table, dense=dense, lessons=lessons, designs=designs)


def _claims(text: str, results: list[Result]) -> tuple[Claim, ...]:
    """The sentences of a model's lesson, each with the measured slots that it mentions."""
    measured = [result.slot for result in results if result.gain is not None]
    return tuple(
        Claim(sentence, tuple(slot for slot in measured if re.search(rf"\b{re.escape(slot)}\b", sentence)))
        for sentence in re.split(r"(?<=[.!?])\s+", text)
    )


def _predictions(measured: list[Result]) -> str:
    """How many hypotheses their contrasts support, and how many forecasts of a range held."""
    verdicts = [verdict for result in measured if (verdict := _verdict(result))]
    ranges = [(result, range_) for result in measured if (range_ := read_range(result.predicted))]
    held = sum(low <= result.percent <= high for result, (low, high) in ranges)
    said = f" {verdicts.count('supports')} of {len(verdicts)} hypotheses held." if verdicts else ""
    return said + (f" {held} of {len(ranges)} measured changes were within the predicted range." if ranges else "")


def _verdict(result: Result) -> str | None:
    return pooled([Contrast(result.gain, result.error)]).verdict(result.expected) if result.gain is not None else None


def _inputs(source: str) -> set[str]:
    return {name for name in _INPUTS if re.search(rf"\.{name}\b", source)}


def _change(result: Result) -> str:
    early = ", stopped early" if result.perplexity is None else ""
    return f"{result.change()} perplexity{early}"
