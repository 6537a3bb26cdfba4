"""The endpoint of a chat model, and a single call to it, which is one HTTP request."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from autoprune.config_values import without_user
from autoprune.llm.faults import FAULTS, Fault, diagnose
from autoprune.llm.parse import MAX_REPLY_CHARS, clean
from autoprune.llm.question import Question, problem_of
from autoprune.llm.refusals import SYSTEM, Refusals, has_system
from autoprune.llm.reply import Turn
from autoprune.llm.thinking import split_thinking
from autoprune.llm.tools import calls_of
from autoprune.llm.transport import BoundedClient
from autoprune.llm.usage import counted
from autoprune.secrets import keep_address, masked

LIST_SECONDS = 15.0
NOT_LISTED = (openai.OpenAIError, AttributeError, TypeError, ValueError)
"""The exceptions of an endpoint that does not list its models, or not in the form of OpenAI's."""
logger = logging.getLogger(__name__)
_OFFICIAL_HOSTS = ("api.openai.com", ".openai.azure.com")


@dataclass(frozen=True)
class Endpoint:
    """A chat model and its parameters.

    Attributes:
        base_url: up to and including the version, for example "https://api.openai.com/v1".
        timeout: seconds for a whole reply; for a stream, seconds without a token.
        retries: further attempts after a transient failure.
        temperature, max_reply_tokens: defaults for questions without their own.
        price: US dollars for (model, tokens_in, tokens_out), None = unknown.
        seed: base of the sampling seed, so that a question has the same seed in every run; None sends none.
        streams: whether replies are requested as streams, which have no total time limit.
        patience: target for the seconds of a whole reply. Once the endpoint's speed is known, the token limit is
            lowered to it, but not below `fewest_tokens`; None: no such target.
        reports_progress: it is llama.cpp's server, which also streams its progress through the prompt.
        refusals: parameters that it refuses.
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
    streams: bool = False
    patience: float | None = None
    fewest_tokens: int = 400
    reports_progress: bool = False
    refusals: Refusals = field(default_factory=Refusals, compare=False)

    def __post_init__(self) -> None:
        keep_address(self.base_url)

    def __str__(self) -> str:
        return masked(f"the chat model {self.model} at {without_user(self.base_url)}")


def is_loopback(base_url: str) -> bool:
    """Whether an address is on this machine: it needs no proxy, and its model may use this machine's CPU."""
    host = urlsplit(base_url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def listed_models(base_url: str, api_key: str) -> list[str]:
    """The names of the models that an endpoint says it serves. Raises an exception of NOT_LISTED."""
    with BoundedClient(LIST_SECONDS, trust_env=not is_loopback(base_url)) as http:
        client = openai.OpenAI(
            base_url=base_url, api_key=api_key, max_retries=0, timeout=LIST_SECONDS, http_client=http
        )
        return [model.id for model in client.models.list() if isinstance(model.id, str)]


class CallFailed(Exception):
    """A call without an answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.line)
        self.fault = fault


class Caller:
    """Calls one endpoint. Thread-safe."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        host = urlsplit(endpoint.base_url).hostname or ""
        if host.endswith(_OFFICIAL_HOSTS):
            # They refuse `max_tokens` together with `max_completion_tokens`; others may know only the former.
            endpoint.refusals.add("max_tokens")
        here = is_loopback(endpoint.base_url)
        self._http = BoundedClient(endpoint.timeout, endpoint.streams, trust_env=not here)
        self._model = ChatOpenAI(
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=SecretStr(endpoint.api_key),
            timeout=endpoint.timeout,
            max_retries=0,
            use_responses_api=False,
            http_client=self._http,
        )
        self._written, self._seconds = 0, 0.0
        self._limited = False

    def close(self) -> None:
        self._http.close()

    def call(self, question: Question, messages: list[dict[str, Any]]) -> Turn:
        """Exactly one HTTP request. Raises CallFailed."""
        endpoint = self._endpoint
        body = endpoint.refusals.body(self._parameters(question, len(messages)))
        conversation = endpoint.refusals.messages(messages)
        if question.schema and "response_format" not in body:
            conversation = [*conversation, question.format_in_words()]
        sent = {*body, *([SYSTEM] if has_system(messages) and SYSTEM not in endpoint.refusals else [])}
        started = time.monotonic()
        try:
            # With response_format in `extra_body`, a truncated or malformed reply keeps its text and usage, unlike with
            # the library's structured output; and max_completion_tokens can be omitted.
            message = self._model.invoke(conversation, extra_body=body)
        except FAULTS as error:
            raise CallFailed(diagnose(error, sent, endpoint.model)) from error
        turn = self._turn(message, question, messages, time.monotonic() - started)
        self._written, self._seconds = self._written + turn.tokens_out, self._seconds + turn.seconds
        return turn

    def longest(self, tokens: int) -> int:
        """The token limit of a reply, given that of the question."""
        if self._endpoint.patience is None or not self._written:
            return tokens
        speed = self._written / self._seconds
        allowed = max(self._endpoint.fewest_tokens, int(speed * self._endpoint.patience))
        if allowed < tokens and not self._limited:
            self._limited = True
            logger.info(f"{self._endpoint} writes {speed:.2g} tokens per second: replies are limited to {allowed:,}")
        return min(tokens, allowed)

    def _parameters(self, question: Question, turn: int) -> dict[str, Any]:
        streams, longest = self._endpoint.streams, self.longest(question.max_tokens)
        return {
            "max_completion_tokens": longest,
            "max_tokens": longest,
            "response_format": question.response_format,
            "tools": question.toolbox and question.toolbox.declared(),
            "temperature": question.temperature,
            "seed": question.seed(self._endpoint.seed, turn),
            "stream": streams or None,
            "stream_options": {"include_usage": True} if streams and "stream" not in self._endpoint.refusals else None,
            "return_progress": (streams and self._endpoint.reports_progress) or None,
        }

    def _turn(self, message: Any, question: Question, messages: list[dict[str, Any]], seconds: float) -> Turn:
        content = message.content if isinstance(message.content, list) else []
        parts = [part for part in content if isinstance(part, dict)]
        separate = "".join(part["thinking"] for part in parts if part.get("type") == "thinking")
        whole = masked(clean(message.text))
        text, tagged = split_thinking(whole)
        thinking = "\n".join(filter(None, [masked(clean(separate)), tagged]))
        calls = calls_of(message, text, question.toolbox) if question.toolbox else []
        beside = [call for call in calls if call.id]  # the others are in the text
        written = len(whole) + len(separate) + sum(len(call.name) + len(json.dumps(call.arguments)) for call in beside)
        prompt_chars = sum(len(prompt["content"]) for prompt in messages)
        tokens_in, tokens_out, estimated = counted(message.usage_metadata, prompt_chars, written)
        model = masked(clean(message.response_metadata.get("model_name") or self._endpoint.model))
        turn = Turn(
            text=text.strip()[:MAX_REPLY_CHARS] if thinking else text[:MAX_REPLY_CHARS],
            thinking=thinking[:MAX_REPLY_CHARS],
            model=model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            usd=self._endpoint.price(model, tokens_in, tokens_out),
            seconds=seconds,
            truncated=message.response_metadata.get("finish_reason") == "length" or len(text) > MAX_REPLY_CHARS,
            estimated=estimated,
            calls=calls,
        )
        return turn.model_copy(update={"problem": problem_of(turn, question.schema)})
