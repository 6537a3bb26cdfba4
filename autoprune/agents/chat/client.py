"""The one door through which agents talk to a chat model: bounded, retried in one layer, metered and journalled.

What a caller sees of a bad endpoint is one of four things: a Reply, ReplyUnusable (this question failed, the run goes
on), RunPaused (the endpoint keeps failing, the run can be resumed), ChatError (the user must mend a setting first).
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import tenacity
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr, ValidationError

from autoprune.agents.chat.backoff import LONGEST_WAIT, Passing, asked_for, wait
from autoprune.agents.chat.faults import FAULTS, Action, Fault, diagnose
from autoprune.agents.chat.parse import MAX_REPLY_CHARS, clean, parse_json
from autoprune.agents.chat.question import Question, problem_of, repair_of
from autoprune.agents.chat.reply import Journal, Record, Reply, ReplyUnusable, Turn, Usage
from autoprune.agents.chat.tools import Toolbox, calls_of, exchange
from autoprune.agents.chat.transport import BoundedClient
from autoprune.errors import ChatError, RunPaused

CHARS_PER_TOKEN = 4
Heard = Callable[[str, str, str, Turn], None]
_OFFICIAL_HOSTS = ("api.openai.com", ".openai.azure.com")


@dataclass(frozen=True)
class Endpoint:
    """A chat model and how to ask it.

    Attributes:
        base_url: up to and including the version, for example "https://api.openai.com/v1".
        timeout: seconds for one whole reply. retries: further tries after a passing failure.
        temperature: sampling temperature unless a question brings its own. max_reply_tokens: likewise.
        price: US dollars for (model, tokens_in, tokens_out), None = unknown.
        seed: base of the sampling seed, so that a question has the same seed in every run; None sends none.
    """

    base_url: str
    model: str
    api_key: str = field(repr=False, default="none")
    temperature: float = 0.8
    max_reply_tokens: int = 700
    timeout: float = 120.0
    retries: int = 4
    price: Callable[[str, int, int], float | None] = lambda model, tokens_in, tokens_out: None
    seed: int | None = None


def is_loopback(base_url: str) -> bool:
    """Whether an address is on this machine: no proxy may be asked for it, and its model may need our CPU."""
    host = urlsplit(base_url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


class Chat:
    """Asks one endpoint. Safe to share between threads.

    Args:
        journal: answers are kept there under the caller's keys and replayed; None keeps nothing.
        before_call: called with the role before every real call; the budget raises there.
        turn: held around every real call, for a model on this machine's CPU that must not run beside measurements.
        notify: gets one line when a call has to be repeated.
        heard: gets every answer with a key that is its own, the asked model and the role; replayed ones come again.
        spent: usage per role of earlier processes of this run (`recorded_usage`).
        proven: the endpoint has answered this run before, so that what looks like a wrong address will pass.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        journal: Journal | None = None,
        before_call: Callable[[str], None] = lambda role: None,
        turn: contextlib.AbstractContextManager[Any] | None = None,
        notify: Callable[[str], None] = lambda line: None,
        heard: Heard = lambda key, model, role, turn: None,
        spent: dict[str, Usage] | None = None,
        proven: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint
        self._journal = journal
        self._before_call = before_call
        self._turn = turn or contextlib.nullcontext()
        self._notify = notify
        self._heard = heard
        self._sleep = sleep
        self._lock = threading.Lock()
        self._usage = dict(spent or {})
        self._answered = proven
        host = urlsplit(endpoint.base_url).hostname or ""
        # Official endpoints refuse `max_tokens` beside `max_completion_tokens`; others may know only the former.
        self._refused = frozenset({"max_tokens"} if host.endswith(_OFFICIAL_HOSTS) else ())
        self._http = BoundedClient(endpoint.timeout, trust_env=not is_loopback(endpoint.base_url))
        self._model = ChatOpenAI(
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=SecretStr(endpoint.api_key),
            timeout=endpoint.timeout,
            max_retries=0,
            use_responses_api=False,
            http_client=self._http,
        )

    @property
    def usage(self) -> dict[str, Usage]:
        """Totals per role so far, `spent` included; replayed answers are not counted again."""
        with self._lock:
            return dict(self._usage)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
                record = self._answer(question, conversation, record)
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
        finally:
            if failures:
                self._count(question.role, Usage(failed_calls=len(failures)))
                record = record.model_copy(update={"failed_calls": record.failed_calls + len(failures)})
                self._store(question.key, record)
        record = record.model_copy(update={"turns": [*record.turns, turn]})
        self._store(question.key, record)
        self._count(question.role, Usage.of([turn]))
        return record

    def _persist(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """Call until it answers: the one layer of retries. `failures` grows by every call that brought no answer."""

        def tell(state: tenacity.RetryCallState) -> None:
            pause = state.next_action.sleep if state.next_action else 0.0
            self._notify(f"{self._who()}: {failures[-1].line}; trying again in {pause:.0f} s")

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
                f"{self._who()} failed {f'{times} times in a row' if times > 1 else 'once'} (last: {last.fault.line}); "
                "nothing is lost, `autoprune resume` goes on once it answers again"
            ) from None

    def _call_or_sort(self, question: Question, messages: list[dict[str, Any]], failures: list[Fault]) -> Turn:
        """One call, its failure turned into what is to be done about it."""
        while True:
            try:
                return self._call(question, messages)
            except FAULTS as error:
                fault = diagnose(error, self._refused)
            failures.append(fault)
            if fault.parameter is None:
                break
            self._refused |= {fault.parameter}
        if fault.action is Action.STOP or (fault.misconfigured and not self._answered):
            raise ChatError(f"{self._who()}: {fault.line}")
        if fault.action is Action.REJECT:
            raise ReplyUnusable("", fault.line)
        raise Passing(fault)

    def _call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        """One real call: exactly one HTTP request."""
        optional = {
            "max_tokens": question.max_tokens,
            "response_format": question.response_format,
            "tools": question.toolbox and question.toolbox.declared(),
            "temperature": question.temperature,
            "seed": question.seed(self.endpoint.seed, len(messages)),
        }
        body = {name: value for name, value in optional.items() if value is not None and name not in self._refused}
        with self._turn:
            self._before_call(question.role)
            started = time.monotonic()
            # In `extra_body` a response_format keeps raw text and usage of a truncated or malformed reply, which the
            # library's own structured output gives up.
            message = self._model.invoke(messages, max_tokens=question.max_tokens, extra_body=body)
            seconds = time.monotonic() - started
        self._answered = True
        text = clean(message.text)
        model = message.response_metadata.get("model_name") or self.endpoint.model
        usage = message.usage_metadata
        tokens_in = usage["input_tokens"] if usage else sum(len(m["content"]) for m in messages) // CHARS_PER_TOKEN
        tokens_out = usage["output_tokens"] if usage else len(text) // CHARS_PER_TOKEN
        turn = Turn(
            text=text[:MAX_REPLY_CHARS],
            model=model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            usd=self.endpoint.price(model, tokens_in, tokens_out),
            seconds=seconds,
            truncated=message.response_metadata.get("finish_reason") == "length" or len(text) > MAX_REPLY_CHARS,
            estimated=not usage,
            calls=calls_of(message, question.toolbox) if question.toolbox else [],
        )
        return turn.model_copy(update={"problem": problem_of(turn, question.schema)})

    def _store(self, key: str, record: Record) -> None:
        if self._journal:
            self._journal.put(key, record.model_dump(mode="json"))

    def _count(self, role: str, usage: Usage) -> None:
        with self._lock:
            self._usage[role] = self._usage.get(role, Usage()) + usage

    def _who(self) -> str:
        return f"the chat model {self.endpoint.model} at {self.endpoint.base_url}"
