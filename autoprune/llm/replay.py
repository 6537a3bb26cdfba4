"""Answers from a recording in place of an endpoint, while candidates are measured on this machine.

A question is found by its key and number of earlier answers, not by its text, since measurements in prompts differ
between machines. Validation, repair turns, journal and limits are the same as with an endpoint. Tool calls have their
recorded results, on which the model's next answer depends.
"""

from typing import Any

from autoprune.errors import NotRecorded
from autoprune.llm.endpoint import CallFailed, Endpoint
from autoprune.llm.faults import Action, Fault
from autoprune.llm.parse import MAX_REPLY_CHARS, clean
from autoprune.llm.question import Question, problem_of
from autoprune.llm.recording import LONGEST_NAME, Recording, place_of
from autoprune.llm.reply import ReplyUnusable, Turn
from autoprune.llm.tools import ToolCall
from autoprune.llm.usage import is_count
from autoprune.runs.prices import free

MOST_CALLS = 100


class Replayer:
    """Answers the questions of all agents. Thread-safe."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def endpoint(self, role: str) -> Endpoint:
        """The recorded chat model of one agent; nothing is sent to it."""
        models = self._recording.models
        model = self._recording.header.models.get(role) or (models[0] if models else "unknown")
        return Endpoint(base_url="", model=clean(model), price=free)

    def call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        """The recorded answer.

        Raises CallFailed if the question failed when it was recorded. Without an answer, raises NotRecorded for a
        slot's first proposal, which ends the search, and ReplyUnusable otherwise: the slot goes on without the
        revision, or with the rules in place of critic and analyst.
        """
        entry = self._recording.entry(question.key, question.turn)
        if entry is None:
            missing = f"the recording {self._recording.path.name} holds no reply of the {question.role} for"
            missing += f" {place_of(question.key)}"
            if _is_first_proposal(question):
                raise NotRecorded(f"{missing}: the search ends here with what it has")
            raise ReplyUnusable("", f"{missing}, answer {question.turn + 1}" if question.turn else missing)
        if entry.reply is None:
            raise CallFailed(Fault(Action.REJECT, clean(entry.problem) or "the question failed when it was recorded"))
        return _played(entry.reply, question)

    def close(self) -> None:
        """Nothing to close."""


def _is_first_proposal(question: Question) -> bool:
    return question.role == "proposer" and ".propose.0" in question.key and question.turn == 0


def _call(call: ToolCall) -> ToolCall:
    """A tool call, cleaned and bounded like those of an endpoint."""
    cleaned = {name: clean(text)[:MAX_REPLY_CHARS] for name, text in call if isinstance(text, str)}
    return call.model_copy(update=cleaned)


def _played(turn: Turn, question: Question) -> Turn:
    """A recorded answer, cleaned, bounded and validated again, at no cost."""
    played = turn.model_copy(
        update={
            "text": clean(turn.text)[:MAX_REPLY_CHARS],
            "calls": [_call(call) for call in turn.calls[:MOST_CALLS]],
            "thinking": clean(turn.thinking)[:MAX_REPLY_CHARS],
            "model": clean(turn.model)[:LONGEST_NAME],
            "tokens_in": turn.tokens_in if is_count(turn.tokens_in) else 0,
            "tokens_out": turn.tokens_out if is_count(turn.tokens_out) else 0,
            "usd": 0.0,
            "seconds": 0.0,
        }
    )
    return played.model_copy(update={"problem": problem_of(played, question.schema)})
