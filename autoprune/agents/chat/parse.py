"""Reading what chat models write: cleaning, the JSON object, the code block. Tolerant of what small models do."""

import ast
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autoprune.syntax import parse

MAX_REPLY_CHARS = 100_000
MAX_BRACES_TRIED = 50

Parsed = TypeVar("Parsed", bound=BaseModel)

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
# Reordering characters make a reviewer read another program than the one that runs.
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: str) -> str:
    """Text without surrogates, NUL, other control characters (newline and tab stay) and text-direction overrides."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c for c in text if c in "\n\t" or (unicodedata.category(c) not in {"Cc", "Cs"} and c not in _REORDERING)
    )


def fenced_code(text: str) -> str | None:
    """The last Python code block of a reply; None if there is no code.

    Blocks labelled with another language are passed over, an unclosed block runs to the end, and a reply without
    any fence is taken whole if it parses as Python and defines something.
    """
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in {"", "py", "python", "python3"}]
    for body in reversed(blocks):
        if body.strip():
            return body.strip("\n") + "\n"
    if "```" not in text and _is_code(text):
        return text.strip("\n") + "\n"
    return None


def parse_json(text: str, schema: type[Parsed]) -> Parsed:
    """The first JSON object in a reply that fits the schema.

    Raises ValueError with one line for the model: what is wrong with the object, or that there is none.
    """
    problem: str | None = None
    for value in _objects(_THINKING.sub("", text)):
        try:
            return schema.model_validate(value)
        except ValidationError as error:
            problem = problem or _first_problem(error)
    raise ValueError(problem or "there is no complete JSON object in the reply")


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object that starts at some brace, outermost first."""
    decoder = json.JSONDecoder(strict=False)
    position = text.find("{")
    for _ in range(MAX_BRACES_TRIED):
        if position < 0:
            return
        value, end = _decode(decoder, text, position)
        if isinstance(value, dict):
            yield value
        position = text.find("{", max(end, position + 1))


def _decode(decoder: json.JSONDecoder, text: str, position: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, position)
    except (ValueError, RecursionError):
        pass
    try:
        # A repaired copy has other offsets; after it the search goes on behind the opening brace.
        return decoder.raw_decode(_TRAILING_COMMA.sub(r"\1", text[position:]))[0], position + 1
    except (ValueError, RecursionError):
        return None, position + 1


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the object"
    return f"{where}: {problem['msg']}"


def _is_code(text: str) -> bool:
    try:
        tree = parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef | ast.Assign) for node in tree.body)
