"""What can go wrong between us and an endpoint, sorted into what to do about it."""

import email.utils
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import openai

from autoprune.agents.chat.parse import clean
from autoprune.agents.chat.transport import BrokenOff, NotAChatReply, ReplyTooLarge

FAULTS = (openai.OpenAIError, NotAChatReply, ReplyTooLarge)
"""Every exception a call may end with."""

OPTIONAL_PARAMETERS = {
    "max_tokens": "max_tokens",
    "response_format": "response_format",
    "temperature": "temperature",
    "seed": "seed",
    "tools": "tool",
}
"""What we can do without when an endpoint refuses it, and the word by which its complaint is known. `max_tokens` goes
out twice: some servers ignore `max_completion_tokens`, others refuse both together."""

UNREADABLE = "does not match the expected"
"""What llama.cpp says, with status 500, of a reply that does not follow its model's own chat format. With the same seed
it would come again: the reply is at fault, not the server."""


class Action(Enum):
    """retry: may pass. adapt: ask again without a parameter. reject: this question only. stop: needs the user."""

    RETRY = "retry"
    ADAPT = "adapt"
    REJECT = "reject"
    STOP = "stop"


@dataclass(frozen=True)
class Fault:
    """One failed call: what to do, and one line about it for the user.

    `misconfigured`: on the very first call this points at a wrong address, not at a passing failure.
    `parameter`: the one to leave out (adapt). `wait`: seconds the endpoint asked for, if it did.
    """

    action: Action
    line: str
    misconfigured: bool = False
    parameter: str | None = None
    wait: float | None = None


def diagnose(error: BaseException, refused: frozenset[str] = frozenset()) -> Fault:
    """Sort one exception of FAULTS. `refused`: the parameters that are left out already."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ReplyTooLarge):
            return Fault(Action.REJECT, str(cause))
        if isinstance(cause, BrokenOff):
            return Fault(Action.RETRY, _shorten(str(cause)))
        if isinstance(cause, NotAChatReply):
            return Fault(Action.RETRY, f"{cause}; is the address right (most end in /v1)?", misconfigured=True)
    if isinstance(error, openai.APITimeoutError):
        return Fault(Action.RETRY, "it did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        down = any(
            type(cause).__name__ == "ConnectError" or isinstance(cause, ConnectionRefusedError) for cause in chain
        )
        detail = clean(str(chain[-1])) or type(chain[-1]).__name__
        return Fault(Action.RETRY, f"{'cannot connect' if down else 'connection lost'}: {detail}", misconfigured=down)
    if isinstance(error, openai.APIStatusError):
        return _status(error, refused)
    return Fault(Action.REJECT, _shorten(str(error)))


def _status(error: openai.APIStatusError, refused: frozenset[str]) -> Fault:
    code, message = error.status_code, _message(error)
    line = f"HTTP {code}: {message}" if message else f"HTTP {code}"
    if code in (401, 403):
        return Fault(Action.STOP, f"{line}; check the key in OPENAI_API_KEY and that it may use llm.model")
    if code == 404:
        return Fault(Action.STOP, f"{line}; check llm.model, and llm.base_url (most end in /v1)")
    if code == 402 or error.code == "insufficient_quota":
        return Fault(Action.STOP, f"{line}; the account has no credit left")
    if code == 500 and UNREADABLE in message:
        return Fault(Action.REJECT, line)
    if code in (408, 409, 425, 429) or code >= 500:
        return Fault(Action.RETRY, line, wait=_retry_after(error))
    if code in (400, 422):
        named = f"{error.param or ''} {message}"
        for parameter, word in OPTIONAL_PARAMETERS.items():
            if word in named and parameter not in refused:
                return Fault(Action.ADAPT, line, parameter=parameter)
    return Fault(Action.REJECT, line, misconfigured=True)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        inner = body.get("message") or body.get("detail") or body.get("error")
        return _shorten(inner if isinstance(inner, str) else json.dumps(body, default=str))
    return "" if not isinstance(body, str) or "<html" in body.lower() else _shorten(body)


def _shorten(text: str) -> str:
    text = " ".join(clean(text).split())
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
