"""Types for the fields of a reply's schema that repair what a model got nearly right, so that it costs no turn.

The schema that the endpoint is sent stays as strict as without them.
"""

import re
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_SEPARATORS = re.compile(r"[,;\n]")
_NOTHING = {"", "none", "null", "n/a", "-"}
_HEAD = re.compile(r"\W*([A-Za-z]+)(?:\W*$|\W*[:.;(\[]|\W*\s[-–—]\s)")
_REMARK = re.compile(r"(?<=\S)\s+\([^()]*\)\s*\Z")
_BULLET = re.compile(r"\A\s*[-*•]\s+")
_BRACKETS = " \t[]()`'\"*"


class ReplyModel(BaseModel):
    """What an agent's model answers: keys in any case, extra keys ignored, strings stripped."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _keys_in_any_case(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        renamed = {re.sub(r"[\s-]+", "_", str(key).strip()).lower(): part for key, part in value.items()}
        return {name: renamed[name] for name in cls.model_fields if name in renamed} | {
            name: value[name] for name in cls.model_fields if name in value
        }


def any_case(words: Any) -> BeforeValidator:
    """Reads a word of a Literal in any case, with punctuation, alone in a list, or at the head of an explanation
    ("Accept: no fault found"); not where another of the words follows."""
    known = set(get_args(words))

    def read(value: Any) -> Any:
        text = value[0] if isinstance(value, list) and len(value) == 1 else value
        head = _HEAD.match(text) if isinstance(text, str) else None
        if head is None:
            return value
        named = {word for word in re.findall(r"[a-z]+", text.lower()) if word in known}
        return head[1].lower() if named == {head[1].lower()} else value

    return BeforeValidator(read)


def cut(longest: int) -> BeforeValidator:
    """Cuts a string that is too long; a list of strings becomes one."""

    def read(value: Any) -> Any:
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = "; ".join(value)
        if isinstance(value, str) and len(value := value.strip()) > longest:
            return value[: longest - 1].rstrip() + "…"
        return value

    return BeforeValidator(read)


def names(most: int) -> BeforeValidator:
    """Reads a list of names from a string that lists them, without brackets and quotes around each, bullets before and
    remarks behind it, and cuts it."""

    def read(value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str):
            value = _SEPARATORS.split(value)
        if not isinstance(value, list):
            return value
        stripped = [_name(part) if isinstance(part, str) else part for part in value if part is not None]
        return [part for part in stripped if not (isinstance(part, str) and part.lower() in _NOTHING)][:most]

    return BeforeValidator(read)


def _name(part: str) -> str:
    return _REMARK.sub("", _BULLET.sub("", part)).strip(_BRACKETS)
