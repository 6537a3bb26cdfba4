"""Errors as endpoints word them: as an object, a list, a text, nested, with status 200 too. What they say, and mean."""

import json
import re
from collections.abc import Iterator
from typing import Any

_SKIPPED = {
    "input",
    "ctx",
    "url",
    "documentation_url",
    "doc_url",
    "failed_generation",
    "user_id",
    "request_id",
    "headers",
}
"""What repeats the request, or is about something else."""
_SAYING = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "status_msg",
    "error_description",
    "title",
    "reason",
    "error",
    "errors",
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
"""Status codes by the words of an error that has none."""
GENERAL = 400
DEEPEST = 6


def error_in(value: Any) -> Any:
    """The error that the body of a reply holds in place of an answer, or beside one; None if there is none."""
    if isinstance(value, list):
        return next((found for part in value if (found := error_in(part)) is not None), None)
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    places: list[dict[str, Any]] = [place for place in (value, first) if isinstance(place, dict)]
    for place in places:
        for name in ("error", "errors"):
            error = place.get(name)
            # Some gateways send an error without anything in it beside every answer.
            if any(error.values()) if isinstance(error, dict) else error:
                return _with_code(error, place)
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return base
    return value if first is None and _said(value) else None


def _with_code(error: Any, place: dict[str, Any]) -> Any:
    """An error, or the object that it stands in where that holds its code or its words."""
    outside = {name: part for name, part in place.items() if name in (*_SAYING, *_NUMBERED)}
    if not isinstance(error, dict | list | str):
        return outside
    return error if _number(error) or not _number(outside) else outside


def message_of(error: Any) -> str:
    """What an error says, in the words of its first message; a page of HTML says nothing."""
    if isinstance(error, str):
        return "" if re.search(r"<html|<!doctype", error, re.IGNORECASE) else error
    return _said(error) or (json.dumps(error, default=str) if error else "")


def status_of(error: Any) -> int | None:
    """The HTTP status that an error stands for: its code's, or what its words mean. None when it does not say."""
    if isinstance(error, list):
        return next((found for part in error if (found := status_of(part))), None)
    if number := _number(error):
        return number
    fields = error if isinstance(error, dict) else {}
    named = " ".join(str(fields[name]) for name in ("code", "type", "status") if isinstance(fields.get(name), str))
    meant = [status for text in (named, message_of(error)) if (status := _meaning(text))]
    # `invalid_request_error` is also the type of errors whose words say more.
    if found := next((status for status in meant if status != GENERAL), next(iter(meant), None)):
        return found
    inner = fields.get("error")
    return status_of(inner) if isinstance(inner, dict) else None


def _number(error: Any) -> int | None:
    """The HTTP status that an error states."""
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
    """Everything that an error says, but for what it repeats of the request."""
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


def _said(error: Any, depth: int = DEEPEST) -> str:
    if isinstance(error, str):
        return error
    if depth and isinstance(error, list):
        return next((found for part in error if (found := _said(part, depth - 1))), "")
    if not depth or not isinstance(error, dict):
        return ""
    said = next((found for name in _SAYING if (found := _said(error.get(name), depth - 1))), "")
    where = error.get("loc")
    if said and isinstance(where, list):
        said = f"{'.'.join(map(str, where))}: {said}"
    more = error.get("metadata")
    raw = more.get("raw") if isinstance(more, dict) else None
    return f"{said} ({raw})" if said and isinstance(raw, str) else said
