"""Cleans replies of chat models and parses their JSON objects, tolerating the usual mistakes of small models."""

import ast
import itertools
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autoprune.llm.python_text import plain_spaces
from autoprune.llm.thinking import split_thinking

MAX_REPLY_CHARS = 100_000
MAX_BRACES_TRIED = 50
MAX_BRACES_REPAIRED = 10
MAX_REPAIRED_CHARS = 20_000
NESTED = 2

Parsed = TypeVar("Parsed", bound=BaseModel)

_DECODER = json.JSONDecoder(strict=False)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)")
_WRONG_ESCAPE = re.compile(r"\\(?![\"\\/bfnrtu])|\\(?=u(?![0-9a-fA-F]{4}))")
_COMMENT = re.compile(r"^[ \t]*(?://|#).*$|(?<!:)//[^\"\n]*$", re.MULTILINE)
_SMART_QUOTES = str.maketrans("“”„‘’", '"""\'\'')
# Reordering characters can make code look different to a reviewer than it runs.
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Text without surrogates, NUL, other control characters (newline and tab stay) and text-direction overrides."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c for c in text if c in "\n\t" or (unicodedata.category(c) not in {"Cc", "Cs"} and c not in _REORDERING)
    )


def parse_json(text: str, schema: type[Parsed]) -> Parsed:
    """The first JSON object in a reply that matches the schema.

    Tolerates Unicode spaces, trailing commas, comments, Python's quotes and constants, keys without quotes, typographic
    quotes, and invalid escapes. For the values see `lenient`.

    Raises ValueError with one line for the model: the problem of the object, or that there is none.
    """
    problem: str | None = None
    answer = split_thinking(text).answer  # journals of earlier versions have replies with thinking
    for value in itertools.chain(_objects(answer), _repaired_objects(answer)):
        for candidate in _nested(value):
            try:
                return schema.model_validate(candidate)
            except ValidationError as error:
                problem = problem or _first_problem(error)
    raise ValueError(problem or "there is no complete JSON object in the reply")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """All JSON objects in the text, outermost first."""
    position = text.find("{")
    for _ in range(MAX_BRACES_TRIED):
        if position < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, position)
            yield _cleaned(value)
        except (ValueError, RecursionError):
            end = position + 1
        position = text.find("{", end)


def _repaired_objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects that are valid JSON after repairs."""
    position = text.find("{")
    for _ in range(MAX_BRACES_REPAIRED):
        if position < 0:
            return
        for repaired in _repairs(text[position : position + MAX_REPAIRED_CHARS]):
            try:
                yield _cleaned(_DECODER.raw_decode(repaired)[0])
                break
            except (ValueError, RecursionError):
                continue
        else:
            literal = _python_literal(text, position)
            if isinstance(literal, dict):
                yield _cleaned(literal)
        position = text.find("{", position + 1)


def _nested(value: dict[str, Any], depth: int = NESTED) -> Iterator[dict[str, Any]]:
    """An object, then the objects within it, directly or as a string."""
    yield value
    if depth:
        for field in value.values():
            for inner in _objects(field) if isinstance(field, str) else [field]:
                if isinstance(inner, dict):
                    yield from _nested(inner, depth - 1)


def _repairs(text: str) -> Iterator[str]:
    yield (text := _TRAILING_COMMA.sub(r"\1", plain_spaces(text)))
    yield (text := _WRONG_ESCAPE.sub(r"\\\\", text))
    yield (text := _TRAILING_COMMA.sub(r"\1", _COMMENT.sub("", text)))
    yield _BARE_KEY.sub(r'\1"\2"\3', text)
    yield _BARE_KEY.sub(r'\1"\2"\3', text.translate(_SMART_QUOTES))


def _python_literal(text: str, position: int) -> Any:
    """An object in Python's syntax (single quotes, True, None); None if it is not one."""
    end = _closing_brace(text, position)
    source = text[position:end] if end else ""
    for spelling in (source, re.sub(r"\b(true|false|null)\b", lambda word: _CONSTANTS[word[0]], source)):
        try:
            return json.loads(json.dumps(ast.literal_eval(spelling)))
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


_CONSTANTS = {"true": "True", "false": "False", "null": "None"}
_TOKEN = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[{}]", re.DOTALL)


def _closing_brace(text: str, position: int) -> int | None:
    """The end of the brace pair that opens at `position`; braces within strings are ignored."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def _cleaned(value: Any) -> Any:
    """A value with all strings cleaned: JSON's escapes can spell characters that `clean` removed from the text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(part) for key, part in value.items()}
    return value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the object"
    return f"{where}: {problem['msg']}"
