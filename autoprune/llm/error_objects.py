"""Error bodies of endpoints, as an object, a list, text or nested, also with status 200: their message and status."""

import json
import re
from collections.abc import Iterator
from typing import Any

_SKIPPED = {
    *("input", "ctx", "url", "documentation_url", "doc_url", "failed_generation", "user_id", "request_id", "headers"),
}
"""Fields that repeat the request, or are not about the error."""
_MESSAGES = (
    *("message", "msg", "detail", "error_msg", "status_msg", "error_description", "title", "reason"),
    *("error", "errors"),
)
_NUMBERED = ("code", "status", "status_code", "statusCode", "http_code", "error_code")
_MEANINGS = {
    429: r"rate.?limit|too.?many.?requests|resource.?exhausted|throttl",
    402: r"insufficient.{0,20}(quota|credit|balance|funds)|payment|credit|billing|quota|arrears|recharge|余额|欠费",
    401: r"invalid.?api.?key|(api|access).?key|unauthori[sz]ed|unauthenticated|authentication|authenticated|login"
    r"|invalid.?token|token.{0,20}(?:invalid|expired)",
    403: r"permission|forbidden|access.?denied",
    404: r"(model|deployment)\W.*(not.?found|does not exist|not exist)|(model|not).?found"
    r"|(no such|unknown|invalid) model",
    408: r"time.?d?.?out|deadline",
    503: r"overload|unavailable|over.?capacity|at capacity|try again|temporar|busy|loading",
    400: r"invalid.?request|bad.?request|invalid.?argument|context.?length|unsupported|not support",
}
"""HTTP status -> the wording of errors that have no status."""
GENERAL = 400
DEEPEST = 6


def error_in(value: Any) -> Any:
    """The error in the body of a reply, with or without an answer; None if there is none."""
    if isinstance(value, list):
        return next((error for part in value if (error := error_in(part)) is not None), None)
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    places: list[dict[str, Any]] = [place for place in (value, first) if isinstance(place, dict)]
    for place in places:
        for name in ("error", "errors"):
            error = place.get(name)
            # Some gateways send an empty error with every answer.
            if any(error.values()) if isinstance(error, dict) else error:
                return _with_code(error, place)
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return base
    return value if first is None and _message(value) else None


def _with_code(error: Any, place: dict[str, Any]) -> Any:
    """An error, or the object that contains it if that holds the code or the message."""
    outside = {name: part for name, part in place.items() if name in (*_MESSAGES, *_NUMBERED)}
    if not isinstance(error, dict | list | str):
        return outside
    return error if _number(error) or not _number(outside) else outside


def message_of(error: Any) -> str:
    """The first message of an error; empty for an HTML page."""
    if isinstance(error, str):
        return "" if re.search(r"<html|<!doctype", error, re.IGNORECASE) else error
    return _message(error) or (json.dumps(error, default=str) if error else "")


def status_of(error: Any) -> int | None:
    """The HTTP status of an error, by its code or its wording; None if unknown."""
    if isinstance(error, list):
        return next((status for part in error if (status := status_of(part))), None)
    if number := _number(error):
        return number
    fields = error if isinstance(error, dict) else {}
    code = " ".join(str(fields[name]) for name in ("code", "type", "status") if isinstance(fields.get(name), str))
    statuses = [status for text in (code, message_of(error)) if (status := _meaning(text))]
    # `invalid_request_error` is also the type of errors with a more specific message.
    if statuses:
        return next((status for status in statuses if status != GENERAL), statuses[0])
    inner = fields.get("error")
    return status_of(inner) if isinstance(inner, dict) else None


def _number(error: Any) -> int | None:
    for name in _NUMBERED if isinstance(error, dict) else ():
        number = error.get(name)
        if isinstance(number, str) and re.fullmatch(r"\d{3}", number):
            number = int(number)
        if isinstance(number, int) and 400 <= number < 600:
            return number
    return None


def _meaning(text: str) -> int | None:
    return next((status for status, words in _MEANINGS.items() if re.search(words, text, re.IGNORECASE)), None)


def words_of(error: Any) -> str:
    """All text of an error, except what it repeats of the request."""
    return " ".join(_strings(error, DEEPEST))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        path = all(isinstance(part, str | int) for part in value)
        yield from (
            [".".join(map(str, value))] if path else (word for part in value for word in _strings(part, depth - 1))
        )
    elif depth and isinstance(value, dict):
        for name, part in value.items():
            if name not in _SKIPPED:
                yield from _strings(part, depth - 1)


def _message(error: Any, depth: int = DEEPEST) -> str:
    if isinstance(error, str):
        return error
    if depth and isinstance(error, list):
        return next((text for part in error if (text := _message(part, depth - 1))), "")
    if not depth or not isinstance(error, dict):
        return ""
    message = next((text for name in _MESSAGES if (text := _message(error.get(name), depth - 1))), "")
    location = error.get("loc")
    if message and isinstance(location, list):
        message = f"{'.'.join(map(str, location))}: {message}"
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{message} ({raw})" if message and isinstance(raw, str) else message
