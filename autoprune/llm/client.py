"""The client of chat models that all agents use: bounded, retried in one layer, metered and journalled.

A call gives a Reply, or raises ReplyUnusable (this question failed, the run goes on), RunPaused (the endpoint keeps
failing, the run can be resumed), or ChatError (the user must change a setting).
"""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import tenacity
from pydantic import BaseModel, ValidationError

from autoprune.errors import ChatError, RunPaused
from autoprune.llm.endpoint import Caller, CallFailed, Endpoint
from autoprune.llm.faults import Action, Fault
from autoprune.llm.parse import parse_json
from autoprune.llm.question import Question, repair_of
from autoprune.llm.reply import Journal, Record, Reply, ReplyUnusable, Turn, Usage
from autoprune.llm.tools import Toolbox, exchange

logger = logging.getLogger(__name__)
LONGEST_WAIT = 60.0
_exponential = tenacity.wait_exponential_jitter(initial=1, max=LONGEST_WAIT)
OnReply = Callable[[str, str, str, Turn], None]
OnAnswer = Callable[[Question, list[dict[str, Any]], Turn | None, str], None]


class Answers(Protocol):
    """Gives one answer to one request: a `Caller` over HTTP, a `Replayer` from a recording."""

    def call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        """Raises CallFailed; other exceptions are passed on to the chat's caller."""
        ...

    def close(self) -> None: ...


class Chat:
    """Asks one endpoint. Thread-safe.

    Args:
        journal: stores answers under the caller's keys, from which they are replayed; None: no journal.
        before_call: called with the role before each real call, so that the budget can raise.
        lock: held during each real call, for a model on this machine's CPU that must not run beside measurements.
        on_reply: called with each answer's unique key, the requested model and the role; for replayed answers too.
        spent: usage per role of earlier sessions of this run (`recorded_usage`).
        proven: the endpoint has answered this run before, so that an apparently wrong address counts as transient.
        on_answer: called with each request and its answer, or with None and the reason why there is none.
        answers: replaces the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        journal: Journal | None = None,
        before_call: Callable[[str], None] = lambda role: None,
        lock: contextlib.AbstractContextManager[Any] | None = None,
        on_reply: OnReply = lambda key, model, role, turn: None,
        spent: dict[str, Usage] | None = None,
        proven: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        on_answer: OnAnswer = lambda question, messages, turn, problem: None,
        answers: Answers | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._journal = journal
        self._before_call = before_call
        self._call_lock = lock or contextlib.nullcontext()
        self._on_reply = on_reply
        self._sleep = sleep
        self._usage_lock = threading.Lock()
        self._usage = dict(spent or {})
        self._answered = proven
        self._replied = False  # in this process, in which streams are given up only before the first reply
        self._on_answer = on_answer
        self._caller: Answers = answers or Caller(endpoint)

    @property
    def usage(self) -> dict[str, Usage]:
        """Totals per role so far, `spent` included; replayed answers are not counted again."""
        with self._usage_lock:
            return dict(self._usage)

    def close(self) -> None:
        self._caller.close()

    def ask(
        self,
        key: str,
        role: str,
        messages: list[dict[str, Any]],
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        toolbox: Toolbox | None = None,
    ) -> Reply:
        """Ask one question, which is answered from the journal or by the model.

        With a schema the reply's JSON object is validated into `Reply.parsed`, with one repair turn if necessary;
        without one any text that is not empty is valid. With a toolbox the model may call tools first.

        Raises:
            ReplyUnusable: two answers were invalid. RunPaused: too many failures in a row.
            ChatError: refused key, unknown model, no connection. And whatever `before_call` raises.
        """
        question = Question(
            key=key,
            role=role,
            max_tokens=max_tokens or self.endpoint.max_reply_tokens,
            temperature=self.endpoint.temperature if temperature is None else temperature,
            schema=schema,
            toolbox=toolbox,
        )
        record = self._recall(question, messages)
        recorded = len(record.turns)
        conversation, tool_rounds, unusable = messages, 0, 0
        for number in itertools.count():
            if number >= recorded:
                record = self._answer(replace(question, turn=number), conversation, record)
            turn = record.turns[number]
            self._on_reply(f"{key}/{record.request[:8]}/{number}", self.endpoint.model, role, turn)
            if turn.calls:
                tool_rounds += 1
                conversation = [*conversation, *exchange(turn.text, turn.calls)]
                tools = question.toolbox and question.toolbox.after(*(call.name for call in turn.calls))
                question = replace(question, toolbox=tools if tools and tool_rounds < tools.rounds else None)
                continue
            if not turn.problem:
                return Reply(
                    text=turn.text,
                    parsed=schema and parse_json(turn.text, schema),
                    model=turn.model,
                    truncated=turn.truncated,
                    replayed=number < recorded,
                    **record.usage.model_dump(),
                )
            unusable += 1
            if unusable == 2:
                break
            conversation = [*conversation, *repair_of(turn)]
        raise ReplyUnusable(turn.text, turn.problem, record.usage)

    def _recall(self, question: Question, messages: list[dict[str, Any]]) -> Record:
        """The journal's record of this question, or a new one with the cost of other questions under its key."""
        fresh = Record(request=question.fingerprint(self.endpoint.model, messages), role=question.role)
        value = self._journal.get(question.key) if self._journal else None
        if value is None:
            return fresh
        try:
            record = Record.model_validate(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ChatError(f"the journal's entry {question.key!r} cannot be read: {problem}") from None
        return record if record.request == fresh.request else fresh.model_copy(update={"spent": record.usage})

    def _answer(self, question: Question, messages: list[dict[str, Any]], record: Record) -> Record:
        """Call with retries, and append the answer and the failures to the record and the journal."""
        failures: list[Fault] = []
        try:
            turn = self._persist(question, messages, failures)
        except ReplyUnusable as refused:
            self._on_answer(question, messages, None, refused.error)
            raise
        finally:
            if failures:
                self._count(question.role, Usage(failed_calls=len(failures)))
                record = record.model_copy(update={"failed_calls": record.failed_calls + len(failures)})
                self._store(question.key, record)
        self._on_answer(question, messages, turn, "")
        record = record.model_copy(update={"turns": [*record.turns, turn]})
        self._store(question.key, record)
        self._count(question.role, Usage.of([turn]))
        return record

    def _persist(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """Call until there is an answer: the only layer of retries. Failed calls are appended to `failures`."""

        def before_sleep(state: tenacity.RetryCallState) -> None:
            pause = state.next_action.sleep if state.next_action else 0.0
            logger.warning(f"{self.endpoint}: {failures[-1].line}; trying again in {pause:.0f} s")

        def give_up(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number > self.endpoint.retries or (failures[-1].wait or 0.0) > LONGEST_WAIT

        def wait(state: tenacity.RetryCallState) -> float:
            requested = failures[-1].wait
            return _exponential(state) if requested is None else requested

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(CallFailed),
            stop=give_up,
            wait=wait,
            before_sleep=before_sleep,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._try_once, question, messages, failures)
        except CallFailed as last:
            times = retrying.statistics["attempt_number"]
            raise RunPaused(
                f"{self.endpoint} failed {f'{times} times in a row' if times > 1 else 'once'} "
                f"(last: {last.fault.line}); nothing is lost; continue with `autoprune resume` when it is back"
            ) from None

    def _try_once(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """One call, repeated without a parameter that is refused, or a stream that cannot be read from the start.

        Raises CallFailed for a transient failure.
        """
        while True:
            try:
                return self._call(question, messages)
            except CallFailed as failed:
                fault = failed.fault
                failures.append(fault)
                refused = fault.parameter if fault.action is Action.ADAPT or not self._replied else None
                if fault.action is Action.STOP or (fault.misconfigured and not self._answered and not refused):
                    raise ChatError(f"{self.endpoint}: {fault.line}") from None
                if fault.action is Action.REJECT:
                    raise ReplyUnusable("", fault.line) from None
                if refused is None:
                    raise
            # Each iteration sends one parameter less, so this ends.
            if self.endpoint.refusals.add(refused):
                logger.warning(f"{self.endpoint} refuses {refused} ({fault.line}): omitted from now on")

    def _call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        with self._call_lock:
            self._before_call(question.role)
            turn = self._caller.call(question, messages)
        self._answered = self._replied = True
        return turn

    def _store(self, key: str, record: Record) -> None:
        if self._journal:
            self._journal.put(key, record.model_dump(mode="json"))

    def _count(self, role: str, usage: Usage) -> None:
        with self._usage_lock:
            self._usage[role] = self._usage.get(role, Usage()) + usage
