"""Parameters that an endpoint refuses: recognises the refused one, and omits it from then on."""

import re
import threading
from collections.abc import Collection, Iterable
from typing import Any

from autoprune.llm.error_objects import words_of

SYSTEM = "the system role"
_OPTIONAL = {
    "max_completion_tokens": r"max_completion_tokens|max_?output_?tokens",
    "max_tokens": r"\bmax_?tokens\b|max_?new_?tokens",
    "response_format": r"response[_ ]?(?:format|schema)|json[_ ](?:schema|object|mode|output)|structured[_ -]?outputs?"
    r"|guided_\w+|\bgrammar is\b|parse grammar|response[_ ]mime|output_(?:format|schema)|generation_?config",
    "temperature": r"\btemperature\b",
    "seed": r"\bseed\b",
    "tools": r"\btools?\b|\btool[_ -]?(?:choice|use|calls?|calling)\b|\bfunctions?\b[_ -]?call(?:s|ing)?\b",
    "stream_options": r"stream_options|include_usage",
    "stream": r"\bstream(?:ing)?\b",
    "return_progress": r"return_progress",
    SYSTEM: r"\bsystem[_ ](?:role|message|prompt|instruction)s?|developer instruction|\broles?\b.{0,40}\bsystem\b"
    r"|\bsystem\b.{0,40}\brole\b|roles must alternate|only user and assistant roles|messages?[.\[]0\]?\.role",
}
"""Optional parameters, and how error messages name them. The token limit is sent under two names, since servers may
support only one of them, or refuse both together."""
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _OPTIONAL.items()}
_REFUSAL = re.compile(
    r"not (?:be |yet |currently )?(?:support|permitted|allowed|accepted|recogni[sz]ed|implemented|available|enabled)"
    r"|n[o']t (?:a )?(?:support|valid|allow|accept|recogni[sz]e|implement)|unsupported|not_supported|unrecogni[sz]ed"
    r"|unknown|unavailable|requires?\b|deprecated|disabled|cannot|must alternate|no endpoints found that"
    r"|extra (?:inputs|fields)|unexpected (?:keyword|argument|parameter|field|property)|failed to (?:parse|compile)"
    r"|invalid (?:role|value|parameter|argument|field|type)|roles are supported",
    re.IGNORECASE,
)
_RECOMMENDED = re.compile(
    r"\b(?:use|try)\s+(?:the\s+)?(?:parameter\s+)?['\"`]?[\w.]+['\"`]?(?=\s+(?:instead|parameter)|['\"`.]|$)",
    re.IGNORECASE,
)
_WITH_STREAM = re.compile(
    r"\b(?:(?:with|when|while|during)\s+(?:using\s+)?['\"`]?stream(?:ing|s)?|(?:in|for)\s+streaming)\b", re.IGNORECASE
)
"""Something is refused only together with a stream, which is the smaller loss."""
_UNNAMED = re.compile(r"(?:requested|given|some|these) parameters", re.IGNORECASE)
_SOMETHING_ELSE = re.compile(
    r"context.{0,3}(?:length|window|size)|maximum context|too long|out of memory|(?:api|access).?key|quota|\bcredit"
    r"|billing|usage polic|inputs?\W{0,3}tokens|rate.?limit|content.?(?:management|filter|policy)"
    r"|(?:model|deployment).{0,80}does not exist|model.{0,80}not found|not found.{0,20}model",
    re.IGNORECASE,
)
"""Errors that may mention a parameter, but have another cause."""
NEVER = (401, 402, 403, 407, 408, 409, 413, 425, 429, 502, 503, 504)
"""Statuses that are never about a parameter."""
NOT_IMPLEMENTED = 501
NEARBY = 120


class Refusals:
    """The refusals of one endpoint, shared by all its chats. Thread-safe."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = set(names)
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> bool:
        """Store a refusal; returns whether it is new."""
        with self._lock:
            new = name not in self._names
            self._names.add(name)
            return new

    def body(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters of a call without those that are refused or None."""
        return {name: value for name, value in parameters.items() if value is not None and name not in self._names}

    def messages(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The conversation; if the system role is refused, its text is put before the user's first message."""
        if SYSTEM not in self._names or not has_system(messages):
            return messages
        system, *rest = messages
        if rest and rest[0]["role"] == "user":
            return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
        return [{"role": "user", "content": system["content"]}, *rest]


def has_system(messages: list[dict[str, Any]]) -> bool:
    return bool(messages) and messages[0]["role"] == "system"


def refused(status: int, error: Any, sent: Collection[str], model: str = "") -> str | None:
    """The sent parameter that an error refuses; None if it has another cause.

    `error`: the body in any form; `sent`: names of parameters, and SYSTEM; `model`: removed from the text, since it may
    look like a parameter.
    """
    if status in NEVER:
        return None
    words = words_of(error)
    text = _RECOMMENDED.sub(" ", re.sub(rf"(?<!\w){re.escape(model)}(?!\w)", " ", words) if model else words)
    if _SOMETHING_ELSE.search(text):
        return None
    if "stream" in sent and _REFUSAL.search(text) and _WITH_STREAM.search(text):
        return "stream"
    stated = error.get("param") if isinstance(error, dict) else None
    if isinstance(stated, str) and (name := _first(stated, sent)):
        return name
    near = [(refusal.start() - NEARBY, refusal.end() + NEARBY) for refusal in _REFUSAL.finditer(text)]
    if name := _first(text, sent, near):
        return name
    if status == NOT_IMPLEMENTED or (near and _UNNAMED.search(text)):
        return next((name for name in ("seed", "tools", "response_format", "temperature") if name in sent), None)
    return _first(text, sent) if status in (400, 422) else None


def _first(text: str, sent: Collection[str], near: list[tuple[int, int]] | None = None) -> str | None:
    """The parameter that a text mentions first. `near`: ranges in which it must be."""
    places = {
        name: match.start()
        for name in sent
        if name in _PATTERNS
        for match in _PATTERNS[name].finditer(text)
        if near is None or any(start <= match.start() <= end for start, end in near)
    }
    return min(places, key=lambda name: places[name], default=None)
