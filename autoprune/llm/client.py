"""The one door through which agents talk to a chat model: bounded, retried in one layer, metered and journalled.

What a caller sees of a bad endpoint is one of four things: a Reply, ReplyUnusable (this question failed, the run goes
on), RunPaused (the endpoint keeps failing, the run can be resumed), ChatError (the user must mend a setting first).
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
from autoprune.llm.backoff import LONGEST_WAIT, Passing, asked_for, wait
from autoprune.llm.endpoint import Caller, CallFailed, Endpoint
from autoprune.llm.faults import Action, Fault
from autoprune.llm.parse import parse_json
from autoprune.llm.question import Question, repair_of
from autoprune.llm.reply import Journal, Record, Reply, ReplyUnusable, Turn, Usage
from autoprune.llm.tools import Toolbox, exchange

logger = logging.getLogger(__name__)
Heard = Callable[[str, str, str, Turn], None]
Keep = Callable[[Question, list[dict[str, Any]], Turn | None, str], None]


class Answers(Protocol):
    """What gives one answer to one request: a `Caller` over HTTP, a `Replayer` from a recording."""

    def call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        """Raises CallFailed, and whatever the chat's caller is to see as it is."""
        ...

    def close(self) -> None: ...


class Chat:
    """Asks one endpoint. Safe to share between threads.

    Args:
        journal: answers are kept there under the caller's keys and replayed; None keeps nothing.
        before_call: called with the role before every real call; the budget raises there.
        turn: held around every real call, for a model on this machine's CPU that must not run beside measurements.
        heard: gets every answer with a key that is its own, the asked model and the role; replayed ones come again.
        spent: usage per role of earlier processes of this run (`recorded_usage`).
        proven: the endpoint has answered this run before, so that what looks like a wrong address will pass.
        keep: gets every request with its answer as it comes in, or with why there is none (then the answer is None).
        answers: what is asked in place of the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        journal: Journal | None = None,
        before_call: Callable[[str], None] = lambda role: None,
        turn: contextlib.AbstractContextManager[Any] | None = None,
        heard: Heard = lambda key, model, role, turn: None,
        spent: dict[str, Usage] | None = None,
        proven: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        keep: Keep = lambda question, messages, turn, problem: None,
        answers: Answers | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._journal = journal
        self._before_call = before_call
        self._turn = turn or contextlib.nullcontext()
        self._heard = heard
        self._sleep = sleep
        self._lock = threading.Lock()
        self._usage = dict(spent or {})
        self._answered = proven
        self._keep = keep
        self._caller: Answers = answers or Caller(endpoint)

    @property
    def usage(self) -> dict[str, Usage]:
        """Totals per role so far, `spent` included; replayed answers are not counted again."""
        with self._lock:
            return dict(self._usage)

    def close(self) -> None:
        """Close the connections."""
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
        """One question, answered from the journal or by the model.

        With a schema the reply's JSON object is validated into `Reply.parsed`, after one repair turn if need be;
        without one any text that is not empty will do. With a toolbox the model may look things up first.

        Raises:
            ReplyUnusable: the model answered twice with something else. RunPaused: too many failures in a row.
            ChatError: refused key, unknown model, nobody listening. And whatever `before_call` raises.
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
        conversation, looked_up, unusable = messages, 0, 0
        for number in itertools.count():
            if number >= recorded:
                record = self._answer(replace(question, turn=number), conversation, record)
            turn = record.turns[number]
            self._heard(f"{key}/{record.request[:8]}/{number}", self.endpoint.model, role, turn)
            if turn.calls:
                looked_up += 1
                conversation = [*conversation, *exchange(turn.text, turn.calls)]
                if toolbox is None or looked_up >= toolbox.rounds:
                    question = replace(question, toolbox=None)
                continue
            if not turn.problem:
                return Reply(
                    text=turn.text,
                    parsed=schema and parse_json(turn.text, schema),
                    model=turn.model,
                    truncated=turn.truncated,
                    replayed=number < recorded,
                    **record.usage.model_dump(exclude={"estimated"}),
                )
            unusable += 1
            if unusable == 2:
                break
            conversation = [*conversation, *repair_of(turn)]
        raise ReplyUnusable(turn.text, turn.problem, record.usage)

    def _recall(self, question: Question, messages: list[dict[str, Any]]) -> Record:
        """The journal's record of this very question, or a fresh one that remembers what another one had cost."""
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
        """Ask until there is an answer or it is hopeless; the record grows by what happened, in the journal too."""
        failures: list[Fault] = []
        try:
            turn = self._persist(question, messages, failures)
        except ReplyUnusable as refused:
            self._keep(question, messages, None, refused.error)
            raise
        finally:
            if failures:
                self._count(question.role, Usage(failed_calls=len(failures)))
                record = record.model_copy(update={"failed_calls": record.failed_calls + len(failures)})
                self._store(question.key, record)
        self._keep(question, messages, turn, "")
        record = record.model_copy(update={"turns": [*record.turns, turn]})
        self._store(question.key, record)
        self._count(question.role, Usage.of([turn]))
        return record

    def _persist(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """Call until it answers: the one layer of retries. `failures` grows by every call that brought no answer."""

        def tell(state: tenacity.RetryCallState) -> None:
            pause = state.next_action.sleep if state.next_action else 0.0
            logger.warning(f"{self.endpoint}: {failures[-1].line}; trying again in {pause:.0f} s")

        def give_up(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number > self.endpoint.retries or (asked_for(state) or 0.0) > LONGEST_WAIT

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=give_up,
            wait=wait,
            before_sleep=tell,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._call_or_sort, question, messages, failures)
        except Passing as last:
            times = retrying.statistics["attempt_number"]
            raise RunPaused(
                f"{self.endpoint} failed {f'{times} times in a row' if times > 1 else 'once'} "
                f"(last: {last.fault.line}); "
                "nothing is lost, `autoprune resume` goes on once it answers again"
            ) from None

    def _call_or_sort(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """One call, its failure turned into what is to be done about it."""
        while True:
            try:
                return self._call(question, messages)
            except CallFailed as failed:
                fault = failed.fault
            failures.append(fault)
            if fault.parameter is None:
                break
            # Each time one parameter less is sent, so this ends.
            if self.endpoint.refusals.add(fault.parameter):
                logger.warning(
                    f"{self.endpoint} refuses {fault.parameter} ({fault.line}): asked without it from now on"
                )
        if fault.action is Action.STOP or (fault.misconfigured and not self._answered):
            raise ChatError(f"{self.endpoint}: {fault.line}")
        if fault.action is Action.REJECT:
            raise ReplyUnusable("", fault.line)
        raise Passing(fault)

    def _call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        with self._turn:
            self._before_call(question.role)
            turn = self._caller.call(question, messages)
        self._answered = True
        return turn

    def _store(self, key: str, record: Record) -> None:
        if self._journal:
            self._journal.put(key, record.model_dump(mode="json"))

    def _count(self, role: str, usage: Usage) -> None:
        with self._lock:
            self._usage[role] = self._usage.get(role, Usage()) + usage
