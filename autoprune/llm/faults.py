"""Classifies the failures of calls to an endpoint by the action that they require."""

import email.utils
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

import openai

from autoprune.llm.completion import BrokenOff, BrokenStream, NotAChatReply, Unfinished
from autoprune.llm.error_objects import message_of
from autoprune.llm.parse import clean
from autoprune.llm.refusals import refused
from autoprune.llm.transport import SENT_STATUS, ReplyTooLarge
from autoprune.secrets import masked

FAULTS = (openai.OpenAIError, NotAChatReply, ReplyTooLarge)
"""The exceptions of failed calls."""

UNREADABLE = re.compile(
    r"does not match the expected|json_validate_failed|failed to generate json|tool_use_failed"
    r"|failed to call a function",
    re.IGNORECASE,
)
"""Messages of llama.cpp (status 500) and Groq (400) about a reply that violates its format. A retry with the same seed
would give the same reply."""


class Action(Enum):
    """retry: transient. adapt: ask again without a parameter. reject: this question only. stop: needs the user."""

    RETRY = "retry"
    ADAPT = "adapt"
    REJECT = "reject"
    STOP = "stop"


@dataclass(frozen=True)
class Fault:
    """One failed call: what to do, and one line about it for the user.

    `misconfigured`: on the first call this means a wrong address, not a transient failure. `parameter`: the one to
    leave out (adapt; before the endpoint's first reply also retry). `wait`: seconds that the endpoint asks for.
    """

    action: Action
    line: str
    misconfigured: bool = False
    parameter: str | None = None
    wait: float | None = None


def diagnose(error: BaseException, sent: Collection[str] = (), model: str = "") -> Fault:
    """Classify one exception of FAULTS. `sent`: the optional parameters of the call."""
    chain = list(_chain(error))
    unreadable = any(isinstance(cause, BrokenStream | Unfinished) for cause in chain)
    stream = "stream" if unreadable and "stream" in sent else None
    for cause in chain:
        if isinstance(cause, ReplyTooLarge):
            return Fault(Action.REJECT, str(cause))
        if isinstance(cause, BrokenOff):
            return Fault(Action.RETRY, _shorten(str(cause)), parameter=stream)
        if isinstance(cause, NotAChatReply):
            line = f"{cause}; is the address right (most end in /v1)?"
            return Fault(Action.RETRY, line, misconfigured=True, parameter=stream)
    if isinstance(error, openai.APITimeoutError):
        return Fault(Action.RETRY, "it did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        down = any(
            type(cause).__name__ == "ConnectError" or isinstance(cause, ConnectionRefusedError) for cause in chain
        )
        detail = _shorten(str(chain[-1])) or type(chain[-1]).__name__
        return Fault(Action.RETRY, f"{'cannot connect' if down else 'connection lost'}: {detail}", misconfigured=down)
    if isinstance(error, openai.APIStatusError):
        return _status(error, sent, model)
    return Fault(Action.REJECT, _shorten(str(error)))


def _status(error: openai.APIStatusError, sent: Collection[str], model: str) -> Fault:
    code, message = error.status_code, _shorten(message_of(error.body))
    sent_status = error.response.extensions.get(SENT_STATUS)
    head = f"error {code} with status {sent_status}" if sent_status else f"HTTP {code}"
    line = f"{head}: {message}" if message else head
    if code in (401, 403):
        return Fault(Action.STOP, f"{line}; check the key in OPENAI_API_KEY and that it may use llm.model")
    if code == 402 or "insufficient_quota" in (error.code, error.type):
        return Fault(Action.STOP, f"{line}; the account has no credit left")
    if UNREADABLE.search(f"{error.code} {message}"):
        return Fault(Action.REJECT, line)
    if parameter := refused(code, error.body, sent, model):
        return Fault(Action.ADAPT, line, parameter=parameter)
    if code == 404:
        return Fault(Action.STOP, f"{line}; check llm.model, and llm.base_url (most end in /v1)")
    if code in (408, 409, 425, 429) or code >= 500:
        return Fault(Action.RETRY, line, wait=_retry_after(error))
    return Fault(Action.REJECT, line, misconfigured=True)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _shorten(text: str) -> str:
    text = masked(" ".join(clean(text).split()))
    return text if len(text) <= 200 else text[:200] + "..."


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds from a Retry-After header: a number, or an HTTP date."""
    value = error.response.headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
